#!/usr/bin/env bash
# Judges the scores that score.sh left: table in <dir>/results.txt, and <dir>/report with
# DET curves, histograms and thresholds.
set -euo pipefail

utt2spk=
points="0.01 0.001"
title=

help_message="Usage: $0 [options] <trials> <scores-dir> <dir>
e.g.: $0 --utt2spk data/eval/utt2spk data/eval/trials exp/xvector/scores exp/xvector
Options:
  --utt2spk <file>      # speakers of the keys: 95 % intervals
  --points 'point ...'  # of nnet/eval.py --point
  --title <text>"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
trials=$1
scores=$2
dir=$3

options=(--output-dir "$dir/report" ${utt2spk:+--utt2spk "$utt2spk"} ${title:+--title "$title"})
for point in $points; do
  options+=(--point "$point")
done
systems=()
while read -r file name; do
  if [ -f "$scores/$file" ]; then
    systems+=("$name=$scores/$file")
    case $file in
      *_llr) options+=(--llr "$name") ;;
    esac
  fi
done <<'END'
cosine cosine
cosine_as_norm cosine, AS-norm
lda_cosine LDA+cosine
plda PLDA
plda_adapted PLDA, adapted
plda_llr PLDA, calibrated on these
cosine_calibrated_llr cosine, calibrated
plda_calibrated_llr PLDA, calibrated
END
[ ${#systems[@]} -gt 0 ] || { echo "$0: no scores in $scores" >&2; exit 1; }
nnet/eval.py "${options[@]}" "$trials" "${systems[@]}" >"$dir/results.txt.tmp"
mv "$dir/results.txt.tmp" "$dir/results.txt"
cat "$dir/results.txt"
