#!/usr/bin/env bash
# Copies of a data directory in rooms, with noise, music and babble, as one directory.
# Copies are pipes in wav.scp: nothing is computed before their features are. They keep
# the frames of the original, and so its voice activity.
set -euo pipefail

rir_lists=
noise=
music=
babble=
rate=16000
seed=0

help_message="Usage: $0 [options] <data-dir> <out-dir>
e.g.: $0 --rir-lists 'small/rir_list medium/rir_list' --noise data/musan_noise \\
  --music data/musan_music --babble data/musan_speech data/train data/train_aug
Options, of which those that are not given make no copies:
  --rir-lists 'file ...'   # room responses, the lists equally often: copies -reverb
  --noise <data-dir>       # sounds one after another, 0-15 dB: -noise
  --music <data-dir>       # a piece in the background, 5-15 dB: -music
  --babble <data-dir>      # 3 to 7 voices, 13-20 dB: -babble
  --rate <Hz>              # of all sounds
  --seed <n>"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
out=$2

copies=()
if [ -n "$rir_lists" ]; then
  read -ra lists <<<"$rir_lists"
  sets=()
  for list in "${lists[@]}"; do
    sets+=(--rir-set-parameters "$(awk -v n=${#lists[@]} 'BEGIN {print 1 / n}'), $list")
  done
  steps/data/reverberate_data_dir.py "${sets[@]}" \
    --speech-rvb-probability 1 --pointsource-noise-addition-probability 0 \
    --isotropic-noise-addition-probability 0 --num-replications 1 \
    --source-sampling-rate "$rate" --random-seed "$seed" "$data" "${out}_rvb"
  utils/copy_data_dir.sh --utt-suffix -reverb "${out}_rvb" "${out}_reverb"
  rm -r "${out}_rvb"
  copies+=("${out}_reverb")
fi
if [ -n "$noise" ]; then
  steps/data/augment_data_dir.py --utt-suffix noise --fg-interval 1 \
    --fg-snrs "15:10:5:0" --fg-noise-dir "$noise" --random-seed "$seed" \
    "$data" "${out}_noise"
  copies+=("${out}_noise")
fi
if [ -n "$music" ]; then
  steps/data/augment_data_dir.py --utt-suffix music --bg-snrs "15:10:8:5" \
    --num-bg-noises 1 --bg-noise-dir "$music" --random-seed "$seed" \
    "$data" "${out}_music"
  copies+=("${out}_music")
fi
if [ -n "$babble" ]; then
  steps/data/augment_data_dir.py --utt-suffix babble --bg-snrs "20:17:15:13" \
    --num-bg-noises "3:4:5:6:7" --bg-noise-dir "$babble" --random-seed "$seed" \
    "$data" "${out}_babble"
  copies+=("${out}_babble")
fi
[ ${#copies[@]} -gt 0 ] || { echo "$0: no kind of copy is asked for" >&2; exit 1; }
utils/combine_data.sh "$out" "${copies[@]}"
