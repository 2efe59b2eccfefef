"""What the tests of the queues share."""

import pytest
from queue_data import write_data


@pytest.fixture(scope="module", params=["stored", "raw"])
def data(request, tmp_path_factory):
    """Both kinds of features: queues have one contract for them."""
    folder = tmp_path_factory.mktemp("data")
    return write_data(folder, raw=request.param == "raw")
