"""Queues by a configuration."""

import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.queues import validation_queue


@pytest.mark.parametrize(("num_speakers", "num_utts"), [(6, 1), (1, 4)])
def test_a_validation_without_trials_is_refused_at_the_start(
    tmp_path, num_speakers, num_utts
):
    folder = toy.write_data_dir(tmp_path / "valid", num_speakers, num_utts)
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    with pytest.raises(InputError, match=f"valid: .* of {num_speakers} speakers.*EER"):
        validation_queue(params, str(folder), str(folder / "spklist"))
