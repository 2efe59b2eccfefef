# shellcheck shell=bash
# Puts the Python of the project, then the Kaldi commands, on the PATH.
# With KALDI_ROOT set the user's Kaldi leads; without it, the embedded commands.
TF_KALDI_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
export TF_KALDI_ROOT
if [ -d "$TF_KALDI_ROOT/.venv/bin" ]; then
  PATH=$TF_KALDI_ROOT/.venv/bin:$PATH
fi
PATH=$PWD/utils:$TF_KALDI_ROOT/misc/kaldi/bin:$PATH
if [ -n "${KALDI_ROOT:-}" ]; then
  if [ ! -x "$KALDI_ROOT/src/featbin/compute-mfcc-feats" ]; then
    echo "path.sh: KALDI_ROOT=$KALDI_ROOT has no src/featbin/compute-mfcc-feats:" \
      "build Kaldi there, or unset KALDI_ROOT to use the embedded commands" >&2
    return 1
  fi
  for dir in bin featbin ivectorbin; do
    PATH=$KALDI_ROOT/src/$dir:$PATH
  done
fi
export PATH PYTHONPATH=$TF_KALDI_ROOT${PYTHONPATH:+:$PYTHONPATH} LC_ALL=C
