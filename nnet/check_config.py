#!/usr/bin/env python3
"""Says whether configurations can be trained with: files, keys, types, values.

e.g.: nnet/check_config.py nnet_conf/tdnn_softmax_1e-2.json

A recipe asks it before its first stage, as training would refuse them hours later. What
depends on the data is looked at by nnet/doctor.py.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.params import Params
from nnet import program


def main() -> None:
    """Reads all; the first that is wrong ends it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="+")
    for path in parser.parse_args().config:
        Params.from_json(path)


if __name__ == "__main__":
    sys.exit(program.main("check_config.py", main))
