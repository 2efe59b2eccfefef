#!/usr/bin/env bash
# Scores trials by cosine, cosine with AS-norm, cosine after LDA, and PLDA: a file each in
# <scores-dir>, named cosine, cosine_as_norm, lda_cosine, plda.
set -euo pipefail

cmd=run.pl
systems="cosine lda_cosine plda"
cohort=
top_n=100
mean=
plda=
num_utts=

help_message="Usage: $0 [options] <backend-dir> <trials> <enrol.scp> <test.scp> <scores-dir>
e.g.: $0 --cohort exp/xvector/train/spk_xvector.scp exp/xvector/train data/eval/trials \\
  exp/xvector/eval/xvector.scp exp/xvector/eval/xvector.scp exp/xvector/scores
<backend-dir> is that of train_backend.sh, the .scp are lists of embeddings.
Options:
  --cmd <run.pl|queue.pl ...>   # how the jobs are run
  --systems 'name ...'          # of cosine, lda_cosine, plda
  --cohort <scp>                # embeddings for the AS-norm of the cosine; default: none
  --top-n <n>                   # of them that are nearest count
  --mean <file>                 # default: <backend-dir>/mean.vec
  --plda <file>                 # default: <backend-dir>/plda; its name names the scores
  --num-utts <rspecifier>       # of the enrolments, for PLDA"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 5 ]; then
  echo "$help_message" >&2
  exit 1
fi
backend=$1
trials=$2
enrol=$3
test=$4
dir=$5
: "${mean:=$backend/mean.vec}" "${plda:=$backend/plda}"
for file in "$trials" "$enrol" "$test" "$mean" ${cohort:+"$cohort"}; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
mkdir -p "$dir/log"

pairs="cut -d' ' -f1,2 $trials |"
centred() { # centred <scp>
  echo "ark:ivector-subtract-global-mean $mean scp:$1 ark:- |"
}
of_length_one="ivector-normalize-length --scaleup=false ark:- ark:- |"
projected() { # projected <scp>
  echo "$(centred "$1") transform-vec $backend/transform.mat ark:- ark:- |" \
    "ivector-normalize-length ark:- ark:- |"
}

for system in $systems; do
  case $system in
    cosine)
      $cmd "$dir/log/cosine.log" ivector-compute-dot-products "$pairs" \
        "$(centred "$enrol") $of_length_one" "$(centred "$test") $of_length_one" \
        "$dir/cosine"
      if [ -n "$cohort" ]; then
        $cmd "$dir/log/as_norm.log" \
          score-normalize --method=as-norm --top-n="$top_n" "$pairs" \
          "$(centred "$enrol") $of_length_one" "$(centred "$test") $of_length_one" \
          "$(centred "$cohort")" "$dir/cosine_as_norm"
      fi
      ;;
    lda_cosine)
      $cmd "$dir/log/lda_cosine.log" ivector-compute-dot-products "$pairs" \
        "$(projected "$enrol") $of_length_one" "$(projected "$test") $of_length_one" \
        "$dir/lda_cosine"
      ;;
    plda)
      name=$(basename "$plda")
      $cmd "$dir/log/$name.log" \
        ivector-plda-scoring --normalize-length=true ${num_utts:+"--num-utts=$num_utts"} \
        "$plda" "$(projected "$enrol")" "$(projected "$test")" "$pairs" "$dir/$name"
      ;;
    *)
      echo "$0: --systems: cosine, lda_cosine or plda, not '$system'" >&2
      exit 1
      ;;
  esac
done
