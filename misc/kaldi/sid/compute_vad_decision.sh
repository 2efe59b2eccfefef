#!/usr/bin/env bash
# Decides by energy which frames are speech: vad.scp of a data directory.
set -euo pipefail

nj=4
cmd=run.pl
vad_config=conf/vad.conf

help_message="Usage: $0 [options] <data-dir> [<log-dir> [<vad-dir>]]
e.g.: $0 --nj 8 data/train exp/make_vad data/mfcc
Options:
  --nj <n>                     # jobs
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --vad-config <file>          # options of compute-vad"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -lt 1 ] || [ $# -gt 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
if ! [[ $nj =~ ^[1-9][0-9]*$ ]]; then
  echo "$0: --nj: expected a number above zero, got '$nj'" >&2
  exit 1
fi
data=$1
logdir=${2:-$data/log}
vaddir=${3:-$data/data}
name=$(basename "$data")

for file in "$data/feats.scp" "$data/utt2spk" "$vad_config"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
mkdir -p "$vaddir" "$logdir"
vaddir=$(cd "$vaddir" && pwd)

count=$(wc -l <"$data/feats.scp")
if [ "$count" -eq 0 ]; then
  echo "$0: $data/feats.scp is empty" >&2
  exit 1
fi
if [ "$nj" -gt "$count" ]; then
  nj=$count
fi
parts=()
for n in $(seq "$nj"); do
  parts+=("$logdir/feats_$name.$n.scp")
done
utils/split_scp.pl "$data/feats.scp" "${parts[@]}"

# An older table may point into the archives that are written now.
rm -f "$data/vad.scp"
$cmd JOB=1:"$nj" "$logdir/vad_$name.JOB.log" \
  compute-vad "--config=$vad_config" "scp:$logdir/feats_$name.JOB.scp" \
  "ark,scp:$vaddir/vad_$name.JOB.ark,$vaddir/vad_$name.JOB.scp"

for n in $(seq "$nj"); do
  cat "$vaddir/vad_$name.$n.scp"
done >"$data/vad.scp.tmp"
mv "$data/vad.scp.tmp" "$data/vad.scp"
rm -f "${parts[@]}"
mkdir -p "$data/conf"
if ! [ "$vad_config" -ef "$data/conf/vad.conf" ]; then
  cp "$vad_config" "$data/conf/vad.conf"
fi
utils/data/check_complete.sh --allow 100 "$data" vad.scp || exit 1
