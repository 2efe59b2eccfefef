#!/usr/bin/env bash
# Computes the features of a data directory: feats.scp, and if wanted frames and durations.
# The name says which: make_mfcc.sh, and its link make_fbank.sh.
set -euo pipefail

kind=$(basename "$0" .sh)
kind=${kind#make_}

nj=4
cmd=run.pl
# shellcheck disable=SC2034 # taken as ${kind}_config
mfcc_config=conf/mfcc.conf fbank_config=conf/fbank.conf
compress=true
write_utt2num_frames=true
write_utt2dur=true

help_message="Usage: $0 [options] <data-dir> [<log-dir> [<feature-dir>]]
e.g.: $0 --nj 8 data/train exp/make_$kind data/$kind
Options:
  --nj <n>                              # jobs
  --cmd <run.pl|queue.pl ...>           # how the jobs are run
  --$kind-config <file>                 # options of compute-$kind-feats
  --compress <true|false>               # one byte a number
  --write-utt2num-frames <true|false>
  --write-utt2dur <true|false>"

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
config=${kind}_config
config=${!config}
data=$1
logdir=${2:-$data/log}
featdir=${3:-$data/data}
name=$(basename "$data")

for file in "$data/wav.scp" "$data/utt2spk" "$config"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
# An older table may point into the archives that are written now.
outdated=(feats.scp)
[ "$write_utt2num_frames" != true ] || outdated+=(utt2num_frames)
[ "$write_utt2dur" != true ] || outdated+=(utt2dur)
for table in "${outdated[@]}"; do
  if [ -f "$data/$table" ]; then
    mkdir -p "$data/.backup"
    mv "$data/$table" "$data/.backup/"
  fi
done
utils/validate_data_dir.sh --no-text --no-feats "$data" || exit 1
mkdir -p "$featdir" "$logdir"
featdir=$(cd "$featdir" && pwd)

source=wav
[ ! -f "$data/segments" ] || source=segments
list=$data/wav.scp
[ $source = wav ] || list=$data/segments
count=$(wc -l <"$list")
if [ "$count" -eq 0 ]; then
  echo "$0: $list is empty" >&2
  exit 1
fi
if [ "$nj" -gt "$count" ]; then
  nj=$count
fi
parts=()
for n in $(seq "$nj"); do
  parts+=("$logdir/${source}_$name.$n.scp")
done
utils/split_scp.pl "$list" "${parts[@]}"

compute=("compute-$kind-feats")
if [ "$write_utt2dur" = true ]; then
  compute+=("--write-utt2dur=ark,t:$logdir/utt2dur_$name.JOB")
fi
if [ -f "$data/spk2warp" ]; then
  compute+=("--vtln-map=ark:$data/spk2warp" "--utt2spk=ark:$data/utt2spk")
elif [ -f "$data/utt2warp" ]; then
  compute+=("--vtln-map=ark:$data/utt2warp")
fi
compute+=(--verbose=2 "--config=$config")
copy=(copy-feats)
if [ "$write_utt2num_frames" = true ]; then
  copy+=("--write-num-frames=ark,t:$logdir/utt2num_frames_$name.JOB")
fi
copy+=("--compress=$compress" ark:-
  "ark,scp:$featdir/raw_${kind}_$name.JOB.ark,$featdir/raw_${kind}_$name.JOB.scp")
log=$logdir/make_${kind}_$name.JOB.log
if [ $source = wav ]; then
  $cmd JOB=1:"$nj" "$log" \
    "${compute[@]}" "scp,p:$logdir/wav_$name.JOB.scp" ark:- \| "${copy[@]}"
else
  $cmd JOB=1:"$nj" "$log" \
    extract-segments "scp,p:$data/wav.scp" "$logdir/segments_$name.JOB.scp" ark:- \| \
    "${compute[@]}" ark:- ark:- \| "${copy[@]}"
fi

gather() { # gather <parts with JOB in their name> <table>: the parts as one table
  for n in $(seq "$nj"); do
    cat "${1//JOB/$n}"
  done >"$2.tmp"
  mv "$2.tmp" "$2"
}
gather "$featdir/raw_${kind}_$name.JOB.scp" "$data/feats.scp"
if [ "$write_utt2num_frames" = true ]; then
  gather "$logdir/utt2num_frames_$name.JOB" "$data/utt2num_frames"
fi
if [ "$write_utt2dur" = true ]; then
  gather "$logdir/utt2dur_$name.JOB" "$data/utt2dur"
fi
for n in $(seq "$nj"); do
  rm -f "$logdir/utt2num_frames_$name.$n" "$logdir/utt2dur_$name.$n"
done
rm -f "${parts[@]}"
# What the features are like stays with them.
awk -F= '$1 == "--frame-shift" {shift = $2 / 1000}
  END {if (shift > 0) printf "%.3f\n", shift; else print "0.01"}' \
  "$config" >"$data/frame_shift"
mkdir -p "$data/conf"
if ! [ "$config" -ef "$data/conf/$kind.conf" ]; then
  cp "$config" "$data/conf/$kind.conf"
fi
echo "--compress=$compress" >"$data/conf/copy-feats.conf"
other=mfcc
[ "$kind" != mfcc ] || other=fbank
rm -f "$data/conf/$other.conf" "$data/conf/cmvn.conf"
utils/data/check_complete.sh "$data" feats.scp || exit 1
