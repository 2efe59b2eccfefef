#!/usr/bin/env python3
"""Face of misc/kaldi/augment_commands.py: see there, or --help."""

import os
import sys

ROOT = os.path.dirname(os.path.realpath(__file__)) + "/../../../.."
sys.path[0] = os.path.normpath(ROOT)

from misc.kaldi.script import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["reverberate_data_dir.py", *sys.argv[1:]]))
