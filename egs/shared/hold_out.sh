#!/usr/bin/env bash
# Divides what can be trained on into training and validation. A recording is held out
# with all its copies (sp1.1-x, x-reverb, -noise, -music, -babble): none is trained on.
set -euo pipefail

num_speakers=64
num_utts=20
seed=0

help_message="Usage: $0 [options] <recordings> <data-dir> <train-dir> <valid-dir>
e.g.: $0 --num-speakers 64 --num-utts 20 data/train data/train_able data/softmax_train data/valid
<recordings> is the data directory of which <data-dir> has the copies. The numbers of the
speakers are in <train-dir>/spklist, for both.
Options:
  --num-speakers <n>   # of the validation set
  --num-utts <n>       # recordings of each of these; one at least stays for training
  --seed <n>"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 4 ]; then
  echo "$help_message" >&2
  exit 1
fi
recordings=$1
data=$2
train=$3
valid=$4

mkdir -p "$train" "$valid"
utils/filter_scp.pl "$data/utt2spk" "$recordings/utt2spk" |
  utils/utt2spk_to_spk2utt.pl >"$valid/candidates"
"$TF_KALDI_ROOT/misc/tools/sample_validset_spk2utt.py" --seed "$seed" \
  "$num_speakers" "$num_utts" "$valid/candidates" >"$valid/recordings"
awk -v train="$train/utts" -v valid="$valid/utts" '
  FNR == 1 { file++ }
  file == 1 { recordings[$1]; next }
  file == 2 { for (i = 2; i <= NF; i++) held[$i]; next }
  { recording = $1
    if (!(recording in recordings)) { # which may have a name like that of a copy
      sub(/^sp[0-9.]+-/, "", recording)
      sub(/-(reverb|noise|music|babble)$/, "", recording)
    }
    print $1 > ((recording in held) ? valid : train) }
  ' "$recordings/utt2spk" "$valid/recordings" "$data/utt2spk"
utils/subset_data_dir.sh --utt-list "$train/utts" "$data" "$train"
utils/subset_data_dir.sh --utt-list "$valid/utts" "$data" "$valid"
awk '{print $1, NR - 1}' "$train/spk2utt" >"$train/spklist"
