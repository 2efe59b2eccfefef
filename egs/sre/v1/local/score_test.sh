#!/usr/bin/env bash
# Scores a test by cosine, cosine after LDA and PLDA, with adaptation data also by AS-norm
# and adapted PLDA; then judges the scores: all trials, and those of each trials_<part>.
set -euo pipefail

cmd=run.pl
adaptation=
points="sre08-detware sre10"

help_message="Usage: $0 [options] <data-dir> <test> <backend-dir> <nnetdir>
e.g.: $0 --adaptation exp/xvector/sre16_major data sre16 exp/xvector/sre_combined exp/xvector
Reads the trials of <data-dir>/<test>_test and the embeddings <nnetdir>/<test>_{enrol,test};
writes <nnetdir>/scores/<test>, <nnetdir>/<test>/{results.txt,report}, and the same of parts;
with a file trial_parts beside the trials also equalized.txt, by local/equalized_cost.py.
Options:
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --adaptation <dir>           # embeddings of local/adapt_plda.sh: mean, cohort, PLDA
  --points 'point ...'         # of nnet/eval.py --point"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 4 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
name=$2
backend=$3
nnetdir=$4
enrol=$nnetdir/${name}_enrol
trials=$data/${name}_test/trials
scores=$nnetdir/scores/$name

score() { # score <option> ...
  shared/score.sh --cmd "$cmd" --num-utts "ark:$enrol/num_utts.ark" "$@" "$backend" \
    "$trials" "$enrol/spk_xvector.scp" "$nnetdir/${name}_test/xvector.scp" "$scores"
}
rm -rf "$scores" # what is there is judged
if [ -n "$adaptation" ]; then
  score --mean "$adaptation/mean.vec" --cohort "$adaptation/xvector.scp"
  score --mean "$adaptation/mean.vec" --systems plda --plda "$adaptation/plda_adapted"
else
  score
fi

report() { # report <name> <trials>
  mkdir -p "$nnetdir/$1"
  echo "         $1"
  shared/report.sh --title "$1" --points "$points" "$2" "$nnetdir/scores/$1" "$nnetdir/$1"
}
report "$name" "$trials"
if [ -f "$data/${name}_test/trial_parts" ]; then
  systems=()
  for file in "$scores"/*; do
    [ ! -f "$file" ] || systems+=("$(basename "$file")=$file")
  done
  local/equalized_cost.py --llr plda --llr plda_adapted "$trials" \
    "$data/${name}_test/trial_parts" "${systems[@]}" >"$nnetdir/$name/equalized.txt.tmp"
  mv "$nnetdir/$name/equalized.txt.tmp" "$nnetdir/$name/equalized.txt"
  cat "$nnetdir/$name/equalized.txt"
fi
for part in "$trials"_*; do
  [ -f "$part" ] || continue
  part_name=${name}_${part##*/trials_}
  mkdir -p "$nnetdir/scores/$part_name"
  for file in "$scores"/*; do
    [ ! -f "$file" ] || awk 'NR == FNR {trial[$1, $2]; next} ($1, $2) in trial' "$part" \
      "$file" >"$nnetdir/scores/$part_name/$(basename "$file")"
  done
  report "$part_name" "$part"
done
