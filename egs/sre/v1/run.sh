#!/usr/bin/env bash
# NIST SRE 2010 and 2016, trained on earlier evaluations and Switchboard: README.md.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=32
data=data
exp=exp
seed=0
nnet_config=nnet_conf/tdnn_amsoftmax_m0.15_linear_bn_1e-2.json

# Corpora; their places belong into local.conf.
ldc=             # a folder with LDC2006S44, LDC99S79, ...: see README.md
speaker_list=    # of SRE 2004-2006: https://www.openslr.org/15
sre="sre04 sre05_train sre05_test sre06_train sre06_test1 sre06_test2 sre08"
swbd="swbd2_phase1 swbd2_phase2 swbd2_phase3 swbd_cellular1 swbd_cellular2"
musan=
rirs_noises=
sre10=           # a folder with data, train, trials, keys; empty: no SRE 2010
sre16=           # R149_0_1: data, docs, metadata; empty: no SRE 2016
sre16_unlabelled= # LDC2016E46: data/unlabeled; needed with sre16

num_augmented=128000   # copies that are kept, at random
min_len=500            # frames; shorter utterances are not trained on
min_num_utts=8         # speakers with fewer, copies counted, are not trained on
valid_speakers=128
valid_utts=5
lda_dim=150

# shellcheck disable=SC2034
help_message="Usage: $0 [--stage n] [--stop-stage n] [--nj n] [--data dir] [--exp dir]
  [--ldc dir] [--speaker-list file] [--sre10 dir] [--sre16 dir] [--sre16-unlabelled dir]
  [--musan dir] [--rirs-noises dir] [--nnet-config json] [options at the top of the script]"
. shared/recipe.sh

for name in ldc speaker_list musan rirs_noises ${sre16:+sre16_unlabelled}; do
  [ -e "${!name}" ] || die "--${name//_/-}: no such file or folder: '${!name}'; README.md" \
    "says what is needed; local.conf is a good place for it"
done
[ -n "$sre10$sre16" ] || die "nothing to evaluate: give --sre10, --sre16 or both"
case " $sre $swbd " in
  *' mixer6 '*) [ -z "$sre10" ] || die "Mixer 6 has speakers of SRE 2010, so results on" \
    "it would be too good: leave mixer6 out, or give --sre10 ''" ;;
esac
tests=()          # what is evaluated: enrolment and test are sets <test>_enrol, _test
[ -z "$sre10" ] || tests+=(sre10_coreext_c5 sre10_10s)
[ -z "$sre16" ] || tests+=(sre16)
sets=()
for name in "${tests[@]}"; do
  sets+=("${name}_enrol" "${name}_test")
done
[ -z "$sre16" ] || sets+=(sre16_major)
nnetdir=$exp/$(basename "$nnet_config" .json)
seconds_per_utterance=300
mkdir -p "$data" "$exp"

marks_in "$data"
settings ldc speaker_list sre swbd sre10 sre16 sre16_unlabelled
if begin 0 "data: the lists of the corpora"; then
  for name in sre swbd; do
    parts=()
    for corpus in ${!name}; do
      local/prepare_corpus.py --speaker-list "$speaker_list" "$ldc" "$corpus" \
        "$data/corpora/$corpus"
      parts+=("$data/corpora/$corpus")
    done
    utils/combine_data.sh "$data/$name" "${parts[@]}"
    utils/fix_data_dir.sh "$data/$name"
  done
  utils/combine_data.sh "$data/swbd_sre" "$data/swbd" "$data/sre"
  if [ -n "$sre10" ]; then
    local/prepare_sre10.py "$sre10" coreext_c5 "$data"
    local/prepare_sre10.py "$sre10" 10s "$data"
  fi
  if [ -n "$sre16" ]; then
    local/prepare_sre16.py eval "$sre16" "$data"
    local/prepare_sre16.py unlabelled "$sre16_unlabelled" "$data"
  fi
  for name in swbd_sre "${sets[@]}"; do
    utils/fix_data_dir.sh "$data/$name"
  done
fi

if begin 1 "MFCC and energy VAD"; then
  estimate "$(hours "$data/swbd_sre")" 9 400 "$data"
  for name in swbd_sre "${sets[@]}"; do
    features_and_vad mfcc "$data/$name" "$data/mfcc"
  done
fi

settings musan rirs_noises seed num_augmented
if begin 2 "augmentation: reverberation, noise, music, babble, and their MFCC"; then
  steps/data/make_musan.sh --sampling-rate 8000 "$musan" "$data"
  for name in speech noise music; do
    utils/data/get_reco2dur.sh "$data/musan_$name"
  done
  rirs=
  for room in smallroom mediumroom; do
    # The lists name files from the folder that RIRS_NOISES is in.
    mkdir -p "$data/rirs"
    sed "s| RIRS_NOISES/| ${rirs_noises%/}/|" \
      "$rirs_noises/simulated_rirs/$room/rir_list" >"$data/rirs/$room"
    rirs="$rirs $data/rirs/$room"
  done
  shared/augment.sh --rir-lists "$rirs" --noise "$data/musan_noise" \
    --music "$data/musan_music" --babble "$data/musan_speech" --rate 8000 --seed "$seed" \
    "$data/swbd_sre" "$data/swbd_sre_every_copy"
  if [ "$(wc -l <"$data/swbd_sre_every_copy/utt2spk")" -gt "$num_augmented" ]; then
    utils/subset_data_dir.sh "$data/swbd_sre_every_copy" "$num_augmented" \
      "$data/swbd_sre_aug"
  else
    utils/copy_data_dir.sh "$data/swbd_sre_every_copy" "$data/swbd_sre_aug"
  fi
  estimate "$(hours "$data/swbd_sre_aug")" 9 150 "$data"
  steps/make_mfcc.sh --write-utt2num-frames true --mfcc-config conf/mfcc.conf \
    --nj "$nj" --cmd "$train_cmd" "$data/swbd_sre_aug" "$exp/make_mfcc" "$data/mfcc"
  utils/fix_data_dir.sh "$data/swbd_sre_aug"
  utils/combine_data.sh "$data/swbd_sre_combined" "$data/swbd_sre_aug" "$data/swbd_sre"
  utils/fix_data_dir.sh "$data/swbd_sre_combined"
  # The SRE part is what LDA and PLDA are trained on.
  awk '{print $1}' "$data/sre/spk2utt" >"$data/sre_speakers"
  utils/subset_data_dir.sh --spk-list "$data/sre_speakers" "$data/swbd_sre_combined" \
    "$data/sre_combined"
fi

if begin 3 "sliding CMVN and voiced frames"; then
  estimate "$(hours "$data/swbd_sre_combined")" 9 2000 "$data"
  local/nnet3/xvector/prepare_feats_for_egs.sh --nj "$nj" --cmd "$train_cmd" \
    "$data/swbd_sre_combined" "$data/swbd_sre_combined_no_sil" "$data/no_sil"
  utils/fix_data_dir.sh "$data/swbd_sre_combined_no_sil"
fi

settings min_len min_num_utts
if begin 4 "without short utterances and speakers with few"; then
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    "$data/swbd_sre_combined_no_sil" "$data/train_able"
fi

settings valid_speakers valid_utts
if begin 5 "validation set and spklist"; then
  shared/hold_out.sh --seed "$seed" --num-speakers "$valid_speakers" \
    --num-utts "$valid_utts" "$data/swbd_sre" "$data/train_able" "$data/softmax_train" \
    "$data/valid"
fi

marks_in "$nnetdir"
settings nnet_config
if begin 6 "training; log: $nnetdir/log/train_nnet.log"; then
  go_on=false
  ! resumable "$nnetdir/nnet/config.json" || go_on=true
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --continue-training $go_on \
    --overrides "seed=$seed" "$nnet_config" \
    "$data/softmax_train" "$data/softmax_train/spklist" \
    "$data/valid" "$data/softmax_train/spklist" "$nnetdir"
  tail -n 1 "$nnetdir/nnet/valid_loss" | awk '{printf "         after epoch %d:\
 validation loss %.3f, EER %.2f %%\n", $1, $2, 100 * $3}'
fi

if begin 7 "embeddings"; then
  for name in sre_combined "${sets[@]}"; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --checkpoint last \
      "$nnetdir" "$data/$name" "$nnetdir/$name"
  done
fi

backend=$nnetdir/sre_combined
major=$nnetdir/sre16_major
settings lda_dim
if begin 8 "mean, LDA and PLDA; PLDA adapted to SRE 2016"; then
  shared/train_backend.sh --cmd "$train_cmd" --lda-dim "$lda_dim" \
    "$data/sre_combined" "$backend"
  if [ -n "$sre16" ]; then
    $train_cmd "$major/log/mean.log" ivector-mean "scp:$major/xvector.scp" "$major/mean.vec"
    $train_cmd "$major/log/plda_adapted.log" \
      ivector-adapt-plda --within-covar-scale=0.75 --between-covar-scale=0.25 \
      "$backend/plda" \
      "ark:ivector-subtract-global-mean scp:$major/xvector.scp ark:- | transform-vec $backend/transform.mat ark:- ark:- | ivector-normalize-length ark:- ark:- |" \
      "$major/plda_adapted"
  fi
fi

score() { # score <test> <option> ...: into scores/<test>
  local enrol=$nnetdir/${1}_enrol test=$nnetdir/${1}_test
  shared/score.sh --cmd "$train_cmd" --num-utts "ark:$enrol/num_utts.ark" "${@:2}" \
    "$backend" "$data/${1}_test/trials" "$enrol/spk_xvector.scp" "$test/xvector.scp" \
    "$nnetdir/scores/$1"
}
report() { # report <title> <trials> <scores> <folder>
  mkdir -p "$4"
  shared/report.sh --title "$1" --points "sre08 sre10 sre16" "$2" "$3" "$4"
}

if [ -n "$sre10" ] && begin 9 "SRE 2010: cosine, LDA with cosine, PLDA"; then
  for name in sre10_coreext_c5 sre10_10s; do
    score $name
    report $name "$data/${name}_test/trials" "$nnetdir/scores/$name" "$nnetdir/$name"
  done
fi

if [ -n "$sre16" ] && begin 10 "SRE 2016: cosine, AS-norm, PLDA, adapted PLDA"; then
  score sre16 --mean "$major/mean.vec" --cohort "$major/xvector.scp"
  score sre16 --mean "$major/mean.vec" --systems plda --plda "$major/plda_adapted"
  report sre16 "$data/sre16_test/trials" "$nnetdir/scores/sre16" "$nnetdir/sre16"
  for language in tgl yue; do
    trials=$data/sre16_test/trials_$language
    mkdir -p "$nnetdir/scores/sre16_$language"
    for file in "$nnetdir"/scores/sre16/[a-z]*; do
      [ -d "$file" ] || awk 'NR == FNR {trial[$1, $2]; next} ($1, $2) in trial' "$trials" \
        "$file" >"$nnetdir/scores/sre16_$language/$(basename "$file")"
    done
    report "sre16, $language" "$trials" "$nnetdir/scores/sre16_$language" \
      "$nnetdir/sre16_$language"
  done
fi

results=$nnetdir/results.txt
if begin 11 "the tables, one after another: $results"; then
  for name in "${tests[@]}"; do
    for table in "$nnetdir/$name/results.txt" "$nnetdir/${name}"_???/results.txt; do
      [ ! -f "$table" ] || { basename "$(dirname "$table")"; cat "$table"; echo; }
    done
  done >"$results.tmp"
  mv "$results.tmp" "$results"
fi
finish_with "$results"
