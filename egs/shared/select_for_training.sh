#!/usr/bin/env bash
# Leaves out short utterances, then speakers with few.
set -euo pipefail

min_len=400
min_num_utts=8
count_voiced=false

help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: $0 --min-len 400 --min-num-utts 8 data/train_no_sil data/train_able
Options:
  --min-len <frames>             # utterances are longer than that
  --min-num-utts <n>             # speakers have at least so many of them
  --count-voiced <true|false>    # lengths by vad.scp in place of utt2num_frames"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
out=$2

mkdir -p "$out"
if [ "$count_voiced" = true ]; then
  copy-vector --print-args=false "scp:$data/vad.scp" ark,t:- | awk '{
    n = 0; for (i = 3; i < NF; i++) n += $i
    print $1, n }' >"$out/num_voiced"
else
  cp "$data/utt2num_frames" "$out/num_voiced"
fi
awk -v n="$min_len" '$2 > n {print $1}' "$out/num_voiced" >"$out/long_utts"
utils/subset_data_dir.sh --utt-list "$out/long_utts" "$data" "${out}_long"
awk -v n="$min_num_utts" 'NF > n {print $1}' "${out}_long/spk2utt" >"$out/able_spks"
[ -s "$out/able_spks" ] || {
  echo "$0: no speaker of $data has $min_num_utts utterances of more than $min_len frames" >&2
  exit 1
}
utils/subset_data_dir.sh --spk-list "$out/able_spks" "${out}_long" "$out"
rm -r "${out}_long"
echo "         $(wc -l <"$data/utt2spk") utterances and $(wc -l <"$data/spk2utt") speakers" \
  "before, $(wc -l <"$out/utt2spk") and $(wc -l <"$out/spk2utt") after"
