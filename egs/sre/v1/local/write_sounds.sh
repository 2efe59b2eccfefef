#!/usr/bin/env bash
# Writes what the pipes of a wav.scp give as FLAC files, and their list.
set -euo pipefail

cmd=run.pl
nj=32

help_message="Usage: $0 [options] <wav.scp> <folder> <out.scp>
e.g.: $0 --nj 8 data/swbd_sre/wav.scp data/sounds data/sounds.scp
Options:
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --nj <n>                     # jobs"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
wav_scp=$1
folder=$2
out=$3
[ -f "$wav_scp" ] || { echo "$0: no such file: $wav_scp" >&2; exit 1; }
count=$(wc -l <"$wav_scp")
nj=$((nj < count ? nj : count))
mkdir -p "$folder/log"
parts=()
for n in $(seq "$nj"); do
  parts+=("$folder/log/wav.$n.scp")
done
utils/split_scp.pl "$wav_scp" "${parts[@]}"
$cmd JOB=1:"$nj" "$folder/log/write_sounds.JOB.log" \
  local/write_sounds.py "$folder/log/wav.JOB.scp" "$folder" "$folder/log/out.JOB.scp"
for n in $(seq "$nj"); do
  cat "$folder/log/out.$n.scp"
done >"$out.tmp"
mv "$out.tmp" "$out"
echo "         $(wc -l <"$out") of $count recordings in $folder"
