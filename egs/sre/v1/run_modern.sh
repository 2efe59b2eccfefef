#!/usr/bin/env bash
# NIST SRE 2010 and 2016 as it is done today: filterbanks, augmentation and speeds while
# training, a margin that grows, large-margin fine-tuning; LDA, PLDA, adapted PLDA, cosine
# with AS-norm. README.md beside this file tells what is needed, and what comes out.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=32
data=data/modern
exp=exp/modern
seed=0           # of the data; that of the training stands in the JSON file
nnet_config=nnet_conf/tdnn_arcsoftmax_m0.20_online.json
tuning_config=nnet_conf/tdnn_arcsoftmax_m0.50_online_large_margin_finetune.json

# Corpora, as in run.sh; their places belong into local.conf.
ldc=
speaker_list=
sre="sre04 sre05_train sre05_test sre06_train sre06_test1 sre06_test2 sre08"
swbd="swbd2_phase1 swbd2_phase2 swbd2_phase3 swbd_cellular1 swbd_cellular2"
musan=
rirs=
sre10=
sre16=
sre16_unlabelled=

min_len=400            # voiced frames; shorter recordings are not trained on
min_num_utts=3         # speakers with fewer recordings are not trained on
valid_speakers=128
valid_utts=5
num_gpus=1
use_gpu=false          # for the embeddings
lda_dim=150

# shellcheck disable=SC2034
help_message="Usage: $0 [--stage n] [--stop-stage n] [--nj n] [--data dir] [--exp dir]
  [--ldc dir] [--speaker-list file] [--sre10 dir] [--sre16 dir] [--sre16-unlabelled dir]
  [--musan dir] [--rirs dir] [--nnet-config json] [--tuning-config json]
  [options at the top of the script]"
. shared/recipe.sh
check_configs "$nnet_config" "$tuning_config"

tests=()          # what is evaluated: enrolment and test are sets <test>_enrol, _test
[ -z "$sre10" ] || tests+=(sre10_coreext_c5 sre10_10s)
[ -z "$sre16" ] || tests+=(sre16)
sets=(sre)        # what embeddings are made of; LDA and PLDA are trained on sre
for name in "${tests[@]}"; do
  sets+=("${name}_enrol" "${name}_test")
done
[ -z "$sre16" ] || sets+=(sre16_major)
nnetdir=$exp/$(basename "$nnet_config" .json)
tuned=$exp/$(basename "$tuning_config" .json)
seconds_per_utterance=300
mkdir -p "$data" "$exp"

marks_in "$data"
settings ldc speaker_list sre swbd sre10 sre16 sre16_unlabelled musan rirs
if begin 0 "data: the lists of the corpora"; then
  local/prepare_lists.sh --ldc "$ldc" --speaker-list "$speaker_list" --sre "$sre" \
    --swbd "$swbd" --sre10 "$sre10" --sre16 "$sre16" \
    --sre16-unlabelled "$sre16_unlabelled" --musan "$musan" --rirs "$rirs" "$data"
fi

if begin 1 "sound files of the training, noises and rooms: 8 kHz, FLAC"; then
  estimate "$(hours "$data/swbd_sre")" 40 200 "$data"
  for room in smallroom mediumroom; do
    awk '{print $2, "sox " $NF " -r 8k -t wav - |"}' "$data/rirs/$room/rir_list" \
      >"$data/rirs/$room/wav.scp"
  done
  for set in musan_noise musan_music musan_speech rirs/smallroom rirs/mediumroom swbd_sre; do
    shared/store_recordings.sh --cmd "$train_cmd" --nj "$nj" "$data/$set" "$data/recordings"
  done
  utils/fix_data_dir.sh "$data/swbd_sre"
fi

settings conf/energy.conf conf/vad.conf
if begin 2 "energy VAD of the training"; then
  estimate "$(hours "$data/swbd_sre")" 1 600 "$data"
  features_and_vad mfcc "$data/swbd_sre" "$data/vad" conf/energy.conf
  rm "$data/swbd_sre/feats.scp" # only the energy
fi

settings min_len min_num_utts valid_speakers valid_utts seed
if begin 3 "without short recordings and speakers with few; validation set, spklist"; then
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    --count-voiced true "$data/swbd_sre" "$data/train_able"
  shared/hold_out.sh --seed "$seed" --num-speakers "$valid_speakers" \
    --num-utts "$valid_utts" "$data/swbd_sre" "$data/train_able" "$data/softmax_train" \
    "$data/valid"
fi

settings conf/fbank.conf
if begin 4 "filterbanks of SRE 2004-2008 and of the evaluations"; then
  estimate "$(hours "$data/sre")" 29 400 "$data"
  for name in "${sets[@]}"; do
    features_and_vad mfcc "$data/$name" "$data/vad" conf/energy.conf
    steps/make_fbank.sh --fbank-config conf/fbank.conf --nj "$nj" --cmd "$train_cmd" \
      "$data/$name" "$exp/make_fbank" "$data/fbank"
    utils/fix_data_dir.sh "$data/$name"
  done
fi

overrides=$(sound_lists "$data")
training=("$data/softmax_train" "$data/softmax_train/spklist" "$data/valid"
  "$data/softmax_train/spklist")

marks_in "$nnetdir"
settings nnet_config
if begin 5 "training; log: $nnetdir/log/train_nnet.log"; then
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")" \
    --num-gpus "$num_gpus" --overrides "$overrides" "$nnet_config" "${training[@]}" \
    "$nnetdir"
fi

marks_in "$tuned"
settings tuning_config
if begin 6 "large-margin fine-tuning; log: $tuned/log/finetune_nnet.log"; then
  nnet/run_finetune_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$tuned")" \
    --num-gpus "$num_gpus" --overrides "$overrides" --checkpoint last "$tuning_config" \
    "${training[@]}" "$nnetdir" "$tuned"
fi

if begin 7 "embeddings"; then
  estimate "$(hours "$data/sre")" 0.1 80 "$tuned"
  for name in "${sets[@]}"; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --use-gpu "$use_gpu" \
      --checkpoint last "$tuned" "$data/$name" "$tuned/$name"
  done
fi

settings lda_dim
if begin 8 "mean, LDA and PLDA; PLDA adapted to SRE 2016"; then
  shared/train_backend.sh --cmd "$train_cmd" --lda-dim "$lda_dim" "$data/sre" "$tuned/sre"
  [ -z "$sre16" ] ||
    local/adapt_plda.sh --cmd "$train_cmd" "$tuned/sre" "$tuned/sre16_major"
fi

if begin 9 "scores and tables"; then
  for name in "${tests[@]}"; do
    options=()
    [ "$name" != sre16 ] || options=(--adaptation "$tuned/sre16_major"
      --points "sre16 sre08-detware sre10")
    local/score_test.sh --cmd "$train_cmd" "${options[@]}" "$data" "$name" "$tuned/sre" \
      "$tuned"
  done
  local/join_tables.sh "$tuned" "${tests[@]}"
fi
finish_with "$tuned/results.txt"
