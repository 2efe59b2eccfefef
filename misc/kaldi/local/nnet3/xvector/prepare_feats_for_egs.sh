#!/usr/bin/env bash
# Sliding CMVN and voiced frames only: a data directory ready for training.
set -euo pipefail

nj=40
cmd=run.pl
stage=0
norm_vars=false
center=true
compress=true
cmn_window=300

help_message="Usage: $0 [options] <in-data-dir> <out-data-dir> <feat-dir>
e.g.: $0 --nj 8 data/train_combined data/train_no_sil data/no_sil
Options:
  --nj <n>                     # jobs
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --cmn-window <frames>        # window of the sliding mean
  --norm-vars <true|false>     # normalise the variance, too
  --center <true|false>        # the window lies around the frame
  --compress <true|false>      # one byte a number"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
if ! [[ $nj =~ ^[1-9][0-9]*$ ]]; then
  echo "$0: --nj: expected a number above zero, got '$nj'" >&2
  exit 1
fi
data_in=$1
data_out=$2
dir=$3
name=$(basename "$data_in")

for file in "$data_in/feats.scp" "$data_in/vad.scp" "$data_in/utt2spk"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
count=$(wc -l <"$data_in/feats.scp")
if [ "$nj" -gt "$count" ]; then
  nj=$count
fi
mkdir -p "$dir/log" "$data_out"
featdir=$(cd "$dir" && pwd)
feats=$featdir/xvector_feats_$name

if [ "$stage" -le 0 ]; then
  utils/split_data.sh --per-utt "$data_in" "$nj"
  sdata=$data_in/split${nj}utt/JOB
  $cmd JOB=1:"$nj" "$dir/log/create_xvector_feats_$name.JOB.log" \
    apply-cmvn-sliding "--norm-vars=$norm_vars" "--center=$center" \
    "--cmn-window=$cmn_window" "scp:$sdata/feats.scp" ark:- \| \
    select-voiced-frames ark:- "scp,s,cs:$sdata/vad.scp" ark:- \| \
    copy-feats "--compress=$compress" \
    "--write-num-frames=ark,t:$featdir/log/utt2num_frames_$name.JOB" ark:- \
    "ark,scp:$feats.JOB.ark,$feats.JOB.scp"
fi

# The frames are new, and with them what was counted in frames or made for them.
rm -f "$data_out"/{feats.scp,vad.scp,cmvn.scp,utt2num_frames,utt2dur,segments}
for file in utt2spk spk2utt wav.scp text utt2lang utt2uniq spk2gender frame_shift; do
  rm -f "$data_out/$file"
  [ ! -f "$data_in/$file" ] || cp "$data_in/$file" "$data_out/"
done
mkdir -p "$data_out/conf"
rm -f "$data_out"/conf/{mfcc,fbank,copy-feats,vad}.conf
for file in mfcc fbank copy-feats vad; do
  [ ! -f "$data_in/conf/$file.conf" ] || cp "$data_in/conf/$file.conf" "$data_out/conf/"
done
printf -- "--norm-vars=%s\n--center=%s\n--cmn-window=%s\n" \
  "$norm_vars" "$center" "$cmn_window" >"$data_out/conf/cmvn.conf"
for n in $(seq "$nj"); do
  cat "$feats.$n.scp"
done >"$data_out/feats.scp.tmp"
mv "$data_out/feats.scp.tmp" "$data_out/feats.scp"
for n in $(seq "$nj"); do
  cat "$featdir/log/utt2num_frames_$name.$n"
done >"$data_out/utt2num_frames.tmp"
mv "$data_out/utt2num_frames.tmp" "$data_out/utt2num_frames"
utils/data/check_complete.sh --allow 100 "$data_out" feats.scp || exit 1
