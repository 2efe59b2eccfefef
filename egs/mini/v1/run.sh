#!/usr/bin/env bash
# From wav files to an EER, on a corpus that anyone has: README.md beside this file.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=2
data=data
exp=exp
corpus=          # a folder with data/{train,eval}; empty: the recipe makes its speech
seed=1           # of the data; that of the training stands in the JSON file
nnet_config=     # empty: nnet_conf/tdnn_synthetic.json, or tdnn_corpus.json with --corpus
speeds=          # copies at these speeds are new speakers; empty: none, or "0.9 1.1"
train_speakers=120
eval_speakers=30
min_len=100      # frames; shorter utterances are not trained on
min_num_utts=3   # speakers with fewer, copies counted, are not trained on
valid_speakers=20
aug_per_spk=     # augmented utterances that LDA and PLDA see; empty: 10, or 1000 with --corpus
lda_dim=         # empty: 100, or 400 with --corpus
lda_factor=0.5   # share of the total covariance in the LDA's within-class covariance

# shellcheck disable=SC2034
help_message="Usage: $0 [--stage n] [--stop-stage n] [--nj n] [--data dir] [--exp dir]
  [--corpus dir] [--seed n] [--nnet-config json] [options at the top of the script]"
. shared/recipe.sh

if [ -n "$corpus" ]; then
  : "${nnet_config:=nnet_conf/tdnn_corpus.json}" "${lda_dim:=400}" "${speeds:=0.9 1.1}" \
    "${aug_per_spk:=1000}"
else
  : "${nnet_config:=nnet_conf/tdnn_synthetic.json}" "${lda_dim:=100}" "${aug_per_spk:=10}"
fi
overrides='' online=false valid_utts=1
if grep -q '"waveform_features"' "$nnet_config"; then
  # The network's features are made, and augmented, while training; what stage 2 makes
  # is for LDA and PLDA alone.
  online=true valid_utts=2 min_num_utts=1
  # The backslashes are for the shell that run.pl starts.
  overrides="$overrides augment_reverb_lists=[\\\"$data/noise/rir_list\\\"]"
  overrides="$overrides augment_noise_lists=[\\\"$data/noise/noise\\\"]"
fi
nnetdir=$exp/$(basename "$nnet_config" .json)
check_configs "$nnet_config"
mkdir -p "$data" "$exp"

marks_in "$data"
settings corpus seed train_speakers eval_speakers
if begin 0 "data"; then
  speech=$corpus
  if [ -z "$corpus" ]; then
    speech=$data/speech
    local/make_speech.py --seed "$seed" --nj "$nj" --train-speakers "$train_speakers" \
      --eval-speakers "$eval_speakers" "$speech"
  fi
  local/make_noise.py --seed "$seed" "$data/noise"
  local/prepare_corpus.py "$speech" "$data"
  for name in train eval; do
    utils/fix_data_dir.sh "$data/$name"
  done
fi

settings conf/mfcc.conf conf/vad.conf
if begin 1 "MFCC and energy VAD"; then
  for name in train eval; do
    features_and_vad mfcc "$data/$name" "$data/mfcc"
  done
fi

settings speeds
if begin 2 "augmentation: speeds, reverberation, noise, babble, and their MFCC"; then
  read -ra factors <<<"$speeds"
  estimate "$(hours "$data/train" $((3 + 4 * ${#factors[@]})))" 11 600 "$data"
  sources=("$data/train")
  for speed in "${factors[@]}"; do
    utils/data/perturb_data_dir_speed.sh "$speed" "$data/train" "$data/train_sp$speed"
    features_and_vad mfcc "$data/train_sp$speed" "$data/mfcc"
    sources+=("$data/train_sp$speed")
  done
  utils/combine_data.sh "$data/train_clean" "${sources[@]}"
  shared/augment.sh --rir-lists "$data/noise/rir_list" --noise "$data/noise/noise" \
    --babble "$data/train" --seed "$seed" "$data/train_clean" "$data/train_aug"
  steps/make_mfcc.sh --write-utt2num-frames true --mfcc-config conf/mfcc.conf \
    --nj "$nj" --cmd "$train_cmd" "$data/train_aug" "$exp/make_mfcc" "$data/mfcc"
  utils/fix_data_dir.sh "$data/train_aug"
  utils/combine_data.sh "$data/train_combined" "$data/train_clean" "$data/train_aug"
  utils/fix_data_dir.sh "$data/train_combined"
fi

if ! $online && begin 3 "sliding CMVN and voiced frames"; then
  estimate "$(hours "$data/train_combined")" 11 2000 "$data"
  local/nnet3/xvector/prepare_feats_for_egs.sh --nj "$nj" --cmd "$train_cmd" \
    "$data/train_combined" "$data/train_no_sil" "$data/no_sil"
  utils/fix_data_dir.sh "$data/train_no_sil"
fi

settings online min_len min_num_utts
if begin 4 "without short utterances and speakers with few"; then
  all=$data/train_no_sil
  ! $online || all=$data/train
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    --count-voiced "$online" "$all" "$data/train_able"
fi

settings valid_speakers
if begin 5 "validation set and spklist"; then
  shared/hold_out.sh --seed "$seed" --num-speakers "$valid_speakers" \
    --num-utts "$valid_utts" "$data/train" "$data/train_able" "$data/softmax_train" \
    "$data/valid"
fi

marks_in "$nnetdir"
settings nnet_config
if begin 6 "training; log: $nnetdir/log/train_nnet.log"; then
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")" \
    --overrides "$overrides" "$nnet_config" \
    "$data/softmax_train" "$data/softmax_train/spklist" \
    "$data/valid" "$data/softmax_train/spklist" "$nnetdir"
  tail -n 1 "$nnetdir/nnet/valid_loss" | awk '{printf "         after epoch %d:\
 validation loss %.3f, EER %.2f %%\n", $1, $2, 100 * $3}'
fi

settings aug_per_spk
if begin 7 "embeddings"; then
  utils/subset_data_dir.sh --per-spk "$data/train_aug" "$aug_per_spk" \
    "$data/train_aug_part"
  utils/combine_data.sh "$data/train_backend" "$data/train_clean" "$data/train_aug_part"
  for name in train_backend eval; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --checkpoint last \
      "$nnetdir" "$data/$name" "$nnetdir/$name"
  done
fi

trials=$data/eval/trials
train=$nnetdir/train_backend
settings lda_dim lda_factor
if begin 8 "mean, LDA and PLDA"; then
  shared/train_backend.sh --cmd "$train_cmd" --lda-dim "$lda_dim" \
    --lda-factor "$lda_factor" --mean-utts "$data/train/utt2spk" \
    "$data/train_backend" "$train"
fi

if begin 9 "scores: cosine, with AS-norm, after LDA; PLDA"; then
  shared/score.sh --cmd "$train_cmd" --cohort "$train/xvector_mean.scp" \
    "$train" "$trials" "$nnetdir/eval/xvector.scp" "$nnetdir/eval/xvector.scp" \
    "$nnetdir/scores"
fi

if begin 10 "calibration: what nnet/verify.py decides by"; then
  "$TF_KALDI_ROOT/nnet/make_verifier.py" --checkpoint last --mean "$train/mean.vec" \
    --transform "$train/transform.mat" --plda "$train/plda" "$nnetdir" \
    2>"$nnetdir/scores/log/make_verifier.log"
  # No data are left that neither the network nor the evaluation has seen: in earnest,
  # calibrate on trials of your own. Those of the evaluation serve to show how.
  $train_cmd "$nnetdir/scores/log/calibration.log" \
    calibration-train "$trials" "$nnetdir/scores/plda" \
    "$nnetdir/verifier/calibration.json"
  $train_cmd "$nnetdir/scores/log/calibration_apply.log" \
    calibration-apply "$nnetdir/verifier/calibration.json" "$nnetdir/scores/plda" \
    "$nnetdir/scores/plda_llr"
fi

if begin 11 "EER, minDCF, report with DET curves"; then
  shared/report.sh --utt2spk "$data/eval/utt2spk" "$trials" "$nnetdir/scores" "$nnetdir"
fi
finish_with "$nnetdir/results.txt"
