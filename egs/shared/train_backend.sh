#!/usr/bin/env bash
# Mean, LDA and PLDA of embeddings: mean.vec, transform.mat, plda beside them.
set -euo pipefail

cmd=run.pl
lda_dim=200
lda_factor=0
mean_utts=

help_message="Usage: $0 [options] <data-dir> <embedding-dir>
e.g.: $0 --lda-dim 200 data/train_backend exp/xvector/train_backend
Options:
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --lda-dim <n>
  --lda-factor <0..1>          # share of the total covariance in the LDA's within-class one
  --mean-utts <list>           # the mean is of these utterances; default: of all"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
dir=$2
for file in "$data/utt2spk" "$data/spk2utt" "$dir/xvector.scp" ${mean_utts:+"$mean_utts"}; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done

of_mean=$dir/xvector.scp
if [ -n "$mean_utts" ]; then
  of_mean=$dir/xvector_mean.scp
  utils/filter_scp.pl "$mean_utts" "$dir/xvector.scp" >"$of_mean"
fi
$cmd "$dir/log/mean.log" ivector-mean "scp:$of_mean" "$dir/mean.vec"
centred="ark:ivector-subtract-global-mean scp:$dir/xvector.scp ark:- |"
$cmd "$dir/log/lda.log" \
  ivector-compute-lda --total-covariance-factor="$lda_factor" --dim="$lda_dim" \
  "$centred" "ark:$data/utt2spk" "$dir/transform.mat"
$cmd "$dir/log/plda.log" \
  ivector-compute-plda "ark:$data/spk2utt" \
  "$centred transform-vec $dir/transform.mat ark:- ark:- | ivector-normalize-length ark:- ark:- |" \
  "$dir/plda"
