#!/usr/bin/env bash
# Adapts a PLDA to speech without labels: mean.vec and plda_adapted beside its embeddings.
set -euo pipefail

cmd=run.pl
within=0.75
between=0.25

help_message="Usage: $0 [options] <backend-dir> <embedding-dir>
e.g.: $0 exp/xvector/sre_combined exp/xvector/sre16_major
<backend-dir> is that of shared/train_backend.sh.
Options:
  --cmd <run.pl|queue.pl ...>  # how the job is run
  --within <0..1>              # share of the new variance that goes into speakers' own
  --between <0..1>             # share that goes between speakers"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
backend=$1
dir=$2
for file in "$backend/transform.mat" "$backend/plda" "$dir/xvector.scp"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
$cmd "$dir/log/mean.log" ivector-mean "scp:$dir/xvector.scp" "$dir/mean.vec"
$cmd "$dir/log/plda_adapted.log" \
  ivector-adapt-plda --within-covar-scale="$within" --between-covar-scale="$between" \
  "$backend/plda" \
  "ark:ivector-subtract-global-mean scp:$dir/xvector.scp ark:- | transform-vec $backend/transform.mat ark:- ark:- | ivector-normalize-length ark:- ark:- |" \
  "$dir/plda_adapted"
