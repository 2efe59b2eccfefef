#!/usr/bin/env bash
# NIST SRE 2010 and 2016, trained on earlier evaluations and Switchboard: README.md.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=32
data=data
exp=exp
seed=0           # of the data; that of the training stands in the JSON file
nnet_config=nnet_conf/tdnn_amsoftmax_m0.15_linear_bn_1e-2.json

# Corpora; their places belong into local.conf.
ldc=             # a folder with LDC2006S44, LDC99S79, ...: see README.md
speaker_list=    # of SRE 2004-2006: https://www.openslr.org/15
sre="sre04 sre05_train sre05_test sre06_train sre06_test1 sre06_test2 sre08"
swbd="swbd2_phase1 swbd2_phase2 swbd2_phase3 swbd_cellular1 swbd_cellular2"
musan=
rirs=            # RIRS_NOISES
sre10=           # a folder with data, train, trials, keys; empty: no SRE 2010
sre16=           # R149_0_1: data, docs, metadata; empty: no SRE 2016
sre16_unlabelled= # LDC2016E46: data/unlabeled; needed with sre16

num_augmented=128000   # copies that are kept, at random
min_len=500            # frames; shorter utterances are not trained on
min_num_utts=8         # speakers with fewer, copies counted, are not trained on
valid_speakers=128
valid_utts=5
num_gpus=1
use_gpu=false          # for the embeddings
checkpoint=last        # of the embeddings; -1: that of the lowest validation loss
node=                  # of the embeddings; empty: embedding_node of the configuration
lda_dim=150

# shellcheck disable=SC2034
help_message="Usage: $0 [--stage n] [--stop-stage n] [--nj n] [--data dir] [--exp dir]
  [--ldc dir] [--speaker-list file] [--sre10 dir] [--sre16 dir] [--sre16-unlabelled dir]
  [--musan dir] [--rirs dir] [--nnet-config json] [options at the top of the script]"
. shared/recipe.sh
check_configs "$nnet_config"

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
settings ldc speaker_list sre swbd sre10 sre16 sre16_unlabelled musan rirs
if begin 0 "data: the lists of the corpora"; then
  local/prepare_lists.sh --ldc "$ldc" --speaker-list "$speaker_list" --sre "$sre" \
    --swbd "$swbd" --sre10 "$sre10" --sre16 "$sre16" \
    --sre16-unlabelled "$sre16_unlabelled" --musan "$musan" --rirs "$rirs" "$data"
fi

settings conf/mfcc.conf conf/vad.conf
if begin 1 "MFCC and energy VAD"; then
  estimate "$(hours "$data/swbd_sre")" 9 400 "$data"
  for name in swbd_sre "${sets[@]}"; do
    features_and_vad mfcc "$data/$name" "$data/mfcc"
  done
fi

settings seed num_augmented
if begin 2 "augmentation: reverberation, noise, music, babble, and their MFCC"; then
  shared/augment.sh --rate 8000 --seed "$seed" \
    --rir-lists "$data/rirs/smallroom/rir_list $data/rirs/mediumroom/rir_list" \
    --noise "$data/musan_noise" --music "$data/musan_music" \
    --babble "$data/musan_speech" "$data/swbd_sre" "$data/swbd_sre_every_copy"
  copies=$(wc -l <"$data/swbd_sre_every_copy/utt2spk")
  utils/subset_data_dir.sh "$data/swbd_sre_every_copy" \
    $((num_augmented < copies ? num_augmented : copies)) "$data/swbd_sre_aug"
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
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")" \
    --num-gpus "$num_gpus" "$nnet_config" \
    "$data/softmax_train" "$data/softmax_train/spklist" \
    "$data/valid" "$data/softmax_train/spklist" "$nnetdir"
  tail -n 1 "$nnetdir/nnet/valid_loss" | awk '{printf "         after epoch %d:\
 validation loss %.3f, EER %.2f %%\n", $1, $2, 100 * $3}'
fi

settings checkpoint node
if begin 7 "embeddings"; then
  estimate "$(hours "$data/sre_combined")" 0.1 80 "$nnetdir"
  for name in sre_combined "${sets[@]}"; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --use-gpu "$use_gpu" \
      --checkpoint "$checkpoint" --node "$node" "$nnetdir" "$data/$name" "$nnetdir/$name"
  done
fi

backend=$nnetdir/sre_combined
major=$nnetdir/sre16_major
settings lda_dim
if begin 8 "mean, LDA and PLDA; PLDA adapted to SRE 2016"; then
  shared/train_backend.sh --cmd "$train_cmd" --lda-dim "$lda_dim" \
    "$data/sre_combined" "$backend"
  [ -z "$sre16" ] || local/adapt_plda.sh --cmd "$train_cmd" "$backend" "$major"
fi

if [ -n "$sre10" ] && begin 9 "SRE 2010: cosine, LDA with cosine, PLDA"; then
  for name in sre10_coreext_c5 sre10_10s; do
    local/score_test.sh --cmd "$train_cmd" "$data" $name "$backend" "$nnetdir"
  done
fi

if [ -n "$sre16" ] && begin 10 "SRE 2016: cosine, AS-norm, PLDA, adapted PLDA"; then
  local/score_test.sh --cmd "$train_cmd" --adaptation "$major" \
    --points "sre16 sre08-detware sre10" "$data" sre16 "$backend" "$nnetdir"
fi

if begin 11 "the tables, one after another"; then
  local/join_tables.sh "$nnetdir" "${tests[@]}"
fi
finish_with "$nnetdir/results.txt"
