#!/usr/bin/env bash
# The lists of all corpora as data directories: swbd_sre of the training, and its part sre;
# of the evaluations <test>_enrol and <test>_test, with trials; sre16_major, _minor;
# MUSAN and rooms.
set -euo pipefail

ldc=
speaker_list=
sre=
swbd=
sre10=
sre16=
sre16_unlabelled=
musan=
rirs=

help_message="Usage: $0 [options] <data-dir>
e.g.: $0 --ldc /corpora/LDC --speaker-list /corpora/speaker_list --sre 'sre04 sre08' \\
  --swbd swbd2_phase2 --sre10 /corpora/SRE10/eval data
Options:
  --ldc <dir>               # a folder with LDC2006S44, LDC99S79, ...
  --speaker-list <file>     # of SRE 2004-2006: https://www.openslr.org/15
  --sre 'corpus ...'        # of local/prepare_corpus.py; what LDA and PLDA are trained on
  --swbd 'corpus ...'       # what the network is trained on besides
  --sre10 <dir>             # data, train, trials, keys; default: none
  --sre16 <dir>             # data, docs, metadata; default: none
  --sre16-unlabelled <dir>  # data/unlabeled
  --musan <dir>             # https://www.openslr.org/17
  --rirs <dir>              # https://www.openslr.org/28"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 1 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
[ -n "$sre10$sre16" ] ||
  { echo "$0: nothing to evaluate: give --sre10, --sre16 or both" >&2; exit 1; }
needed=(ldc musan rirs)
[[ $sre != *sre0[456]* ]] || needed+=(speaker_list)
[ -z "$sre10" ] || needed+=(sre10)
[ -z "$sre16" ] || needed+=(sre16 sre16_unlabelled)
for name in "${needed[@]}"; do
  [ -e "${!name}" ] || {
    echo "$0: --${name//_/-}: no such file or folder: '${!name}'; README.md says what is" \
      "needed, and local.conf is a good place for it" >&2
    exit 1
  }
done
case " $sre $swbd " in
  *' mixer6 '*) [ -z "$sre10" ] || {
    echo "$0: Mixer 6 has speakers of SRE 2010, so results would be too good: leave" \
      "mixer6 out, or give --sre10 ''" >&2
    exit 1
  } ;;
esac

for name in sre swbd; do
  parts=()
  for corpus in ${!name}; do
    local/prepare_corpus.py --speaker-list "$speaker_list" "$ldc" "$corpus" \
      "$data/corpora/$corpus"
    parts+=("$data/corpora/$corpus")
  done
  utils/combine_data.sh "$data/$name" "${parts[@]}"
done
utils/combine_data.sh "$data/swbd_sre" "$data/swbd" "$data/sre"
utils/fix_data_dir.sh "$data/swbd_sre"
if [ -n "$sre10" ]; then
  local/prepare_sre10.py "$sre10" coreext_c5 "$data"
  local/prepare_sre10.py "$sre10" 10s "$data"
fi
if [ -n "$sre16" ]; then
  local/prepare_sre16.py eval "$sre16" "$data"
  local/prepare_sre16.py unlabelled "$sre16_unlabelled" "$data"
fi
shared/prepare_noise.sh --rate 8000 "$musan" "$rirs" "$data"
for folder in "$data"/*_{enrol,test} "$data/sre" "$data/sre16_major"; do
  [ ! -d "$folder" ] || utils/fix_data_dir.sh "$folder"
done
