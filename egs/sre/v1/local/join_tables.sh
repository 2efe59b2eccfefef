#!/usr/bin/env bash
# The tables of the tests, and of parts of their trials, one after another in one file.
set -euo pipefail

help_message="Usage: $0 <nnetdir> <test> ...
e.g.: $0 exp/xvector sre10_coreext_c5 sre16
Writes <nnetdir>/results.txt"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -lt 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
dir=$1
for name in "${@:2}"; do
  for table in "$dir/$name/results.txt" "$dir/$name/equalized.txt" \
    "$dir/${name}"_???/results.txt; do
    [ ! -f "$table" ] || { basename "$(dirname "$table")"; cat "$table"; echo; }
  done
done >"$dir/results.txt.tmp"
mv "$dir/results.txt.tmp" "$dir/results.txt"
