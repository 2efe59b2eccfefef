#!/usr/bin/env bash
# What copies are made with: MUSAN as <out>/musan_{noise,music,speech}, and the lists of
# simulated rooms <out>/rirs/{smallroom,mediumroom}/rir_list, with paths that are found
# from everywhere.
set -euo pipefail

rate=16000

help_message="Usage: $0 [options] <musan> <rirs> <out>
e.g.: $0 /corpora/musan /corpora/RIRS_NOISES data
<musan>: OpenSLR 17, with music, noise and speech; <rirs>: OpenSLR 28, with simulated_rirs.
Options:
  --rate <Hz>   # MUSAN is resampled to this"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi
musan=$1
rirs=$2
out=$3

for room in smallroom mediumroom; do
  [ -f "$rirs/simulated_rirs/$room/rir_list" ] || {
    echo "$0: no such file: $rirs/simulated_rirs/$room/rir_list; RIRS_NOISES is" \
      "https://www.openslr.org/28" >&2
    exit 1
  }
done
steps/data/make_musan.sh --sampling-rate "$rate" "$musan" "$out"
for kind in noise music speech; do
  utils/data/get_utt2dur.sh "$out/musan_$kind"
  mv "$out/musan_$kind/utt2dur" "$out/musan_$kind/reco2dur"
done
folder=$(cd "$rirs" && pwd)
for room in smallroom mediumroom; do
  mkdir -p "$out/rirs/$room"
  # The lists' paths begin with the folder's published name, whatever it is called here.
  awk -v folder="$folder" '{ sub(/^RIRS_NOISES/, folder, $NF); print }' \
    "$rirs/simulated_rirs/$room/rir_list" >"$out/rirs/$room/rir_list.tmp"
  mv "$out/rirs/$room/rir_list.tmp" "$out/rirs/$room/rir_list"
done
