#!/usr/bin/env python3
"""Prints docs/kaldi_commands.md: the usage texts of the embedded commands.

usage: describe_commands.py > docs/kaldi_commands.md
"""

# ruff: noqa: E501  (a table's row is a line)

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

from misc.kaldi.command import COMMANDS, usage_text  # noqa: E402
from misc.kaldi.main import MODULES  # noqa: E402

SCRIPTS = (
    "steps/make_mfcc.sh",
    "steps/make_fbank.sh",
    "sid/compute_vad_decision.sh",
    "local/nnet3/xvector/prepare_feats_for_egs.sh",
)
HEAD = """# Kaldi's commands, embedded

Made by `misc/tools/describe_commands.py` from the commands themselves.

With these a recipe runs without Kaldi. Programs are in `misc/kaldi/bin`, scripts under
`misc/kaldi/utils`, `steps`, `sid` and `local`; names, options, defaults, files and numbers
are Kaldi 5.5's. Every program also takes `--config=file`, `--print-args`, `--verbose` and
`--help`. Exit status: 0 done, 1 wrong number of arguments or nothing done, 255 an error (1 from scripts `.sh`
and `.py`).

## Departures from Kaldi

| what | Kaldi | here |
|---|---|---|
| dither | anew for each frame, another in each run | once for the waveform, from `--seed` and the key: the same in each run |
| `copy-feats` | `--sphinx-in` | not there |
| a command in a pipe fails | a warning | the reading ends with an error: a cut-off stream is not a short one |
| `sph2pipe` (LDC's, not Kaldi's) | `-f` of other formats, `-s`, `-h`, `-u`, `-a` | not there. A `sph2pipe` of the user's on the PATH is preferred |
| `wav.scp` entry | what `sox` or `sph2pipe` make of it | `flac`, `ffmpeg` (by PyAV), `sox`, `cat`, `sph2pipe`, `wav-*` pipelines run inside the process; other pipelines go to the shell; a bare file may be FLAC, Ogg and other formats |
| `wav-reverberate` with an impulse response of another sampling rate, a silent signal to add, or one that starts before 0 s | goes on, to wrong samples | an error |
| `wav-to-duration` without `--read-entire-file` | believes the header | the file is always read to its end |
| NaN or infinite features in `compute-vad`, `apply-cmvn-sliding`, `select-voiced-frames` | spread into the output | that utterance is left out, counted and warned of |
| `fix_data_dir.sh` | keeps an utterance without VAD, which validation refuses | leaves it out |
| a second table (VAD, statistics, weights, recordings) with a wrong entry | ends | that utterance is left out, counted and warned of |
| `--output-format=htk` | says that frames are 10 ms apart | the frame shift |
| an empty matrix in a compressed archive | four bytes too many, so that the archive cannot be read on | as the format has it |
| `apply-cmvn-sliding --center=true` with `--cmn-window` below `--min-cmn-window` | ends by an assertion | done; `--min-cmn-window` has no part in it |
| `select-feats` with a falling range such as 12-0 | reads its first number wrong, here as 1 | as written |
| `combine_data.sh`: an id with two values | one of them is kept | an error, unless the id is a speaker's |
| `copy_data_dir.sh` with new ids | `utt2uniq` is made and moved to `.backup`; `utt2lang` is left behind; without `segments`, `reco2file_and_channel` keeps the old ids | all tables are copied under the new ids |
| `shuffle_list.pl`, `subset_data_dir.sh --speakers` | the order of Perl's random numbers | another one |
| `prepare_feats_for_egs.sh` | parts by speaker; only `wav.scp` and the speakers are copied | by utterance; `text`, `utt2lang`, `utt2uniq` and `spk2gender`, too |
| `conf/` in a data directory | `make_mfcc.sh` puts its options there | so do `compute_vad_decision.sh` and `prepare_feats_for_egs.sh`; copies, subsets and unions have them, too |
| `subsegment_data_dir.sh` | times with three decimals | all digits that tell them apart |
| `make_mfcc.sh` and others with more jobs than entries | fail | run fewer jobs |
| `augment_data_dir.py`, `reverberate_data_dir.py` | choices depend on the whole directory | on (seed, recording, copy) |
| NaN or infinity in embeddings, NaN in scores | spread into the output | an error that names the utterance or the line |
| a trial, or an embedding to be scored, that comes twice | scored twice (`ivector-plda-scoring`: an error for embeddings) | an error |
| more trials left out than scored (unknown keys) | status 0 if one was scored | status 1; unknown keys are named once, not once a trial |
| `ivector-compute-lda --dim` from the number of speakers on | the last rows are arbitrary | an error that names the largest dimension |
| `ivector-plda-scoring-dense` where the PCA needs more directions than the segments vary in | takes arbitrary ones, or aborts | those of its own eigenvectors, at most all |
| `compute_min_dcf.py` with another label than `target` or `nontarget` | means nontarget | an error |
| `logistic-regression-train` | in single precision | in double precision; with `--mix-up` other random numbers |
| `logistic-regression-eval` with a class that the model does not have | reads beyond its memory | an error |
| `calibration-train`, `calibration-apply`, `score-normalize` | do not exist | ours |
| `run.pl` | Perl | Python; the same options (but `--pick`, which is ignored), logs and exit status |
| a command that fails in mid-pipeline, under `run.pl` | goes unnoticed | the job has failed, unless all that the next one wanted was read |
| keys that are not UTF-8 | taken as they are | an error; names of files may be any bytes |
| a failed assertion | aborts, status 134 | an error, status 255 |
| a full disk | a part of a file stays under its name | single files are written whole or not at all; archives end with an error |

"""


def pages() -> Iterator[str]:
    """A section for each command, in the order of misc/kaldi/main.py; then scripts."""
    for module, names in MODULES.items():
        importlib.import_module(module)
        for name in names:
            yield _section(name, usage_text(COMMANDS[name]))
    for path in SCRIPTS:
        done = subprocess.run(
            [os.path.join(ROOT, "misc/kaldi", path)],
            cwd=os.path.join(ROOT, "misc/kaldi"),
            capture_output=True,
            text=True,
        )
        name = os.path.basename(path)
        text = done.stderr.replace(os.path.join(ROOT, "misc/kaldi") + os.sep, "")
        yield _section(name, text)


def _section(name: str, text: str) -> str:
    return f"## {name}\n\n```\n{text.strip()}\n```\n\n"


def main() -> None:
    """Writes the page to stdout."""
    sys.stdout.write(HEAD)
    sys.stdout.write("".join(pages()).rstrip() + "\n")


if __name__ == "__main__":
    main()
