#!/usr/bin/env bash
# VoxCeleb, as the original did it: MFCC, augmented copies on the disk, x-vector, cosine,
# LDA and PLDA. README.md beside this file tells what is needed, and what comes out.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=40
data=data
exp=exp
voxceleb1=       # the corpora's folders, in any of the published layouts
voxceleb2=
musan=
rirs=            # RIRS_NOISES
protocol=original  # original: trained on VoxCeleb2 and the rest of VoxCeleb1; official: on
                 # the dev set of VoxCeleb2 only
lists=           # of trials: o, o_clean, e, e_clean, h, h_clean; empty: all there are
seed=1           # of the data; that of the training stands in the JSON file
aug_utts=1000000 # augmented copies, of four for each utterance
min_len=400      # frames; shorter utterances are not trained on
min_num_utts=8   # speakers with fewer, copies counted, are not trained on
valid_speakers=64
valid_utts=20
nnet_config=nnet_conf/tdnn_amsoftmax_m0.20_linear_bn_1e-2.json
pretrained=      # a network's folder: it is fine-tuned, in place of training a new one
num_gpus=1
use_gpu=false    # for the embeddings
checkpoint=last  # of the embeddings; -1: that of the lowest validation loss
node=            # of the embeddings; empty: embedding_node of the configuration
lda_dim=200

# shellcheck disable=SC2034
help_message="Usage: $0 --voxceleb1 dir --voxceleb2 dir --musan dir --rirs dir
  [--nnet-config json] [--pretrained dir] [--protocol original|official] [--lists 'o e_clean ...']
  [--nj n] [--stage n] [--stop-stage n] [options at the top of the script]
These can stand in local.conf, too: voxceleb1=/corpora/VoxCeleb1"
. shared/recipe.sh
check_configs "$nnet_config"

name=$(basename "$nnet_config" .json)
nnetdir=$exp/$name${pretrained:+_from_$(basename "$pretrained")}

marks_in "$data"
settings voxceleb1 voxceleb2 musan rirs protocol lists
if begin 0 "data"; then
  for corpus in voxceleb1 musan rirs; do
    [ -n "${!corpus}" ] || die "--$corpus is not given: README.md tells what is needed"
  done
  local/prepare_voxceleb.py --protocol "$protocol" --voxceleb2 "$voxceleb2" \
    --lists "$lists" "$voxceleb1" "$data"
  shared/prepare_noise.sh "$musan" "$rirs" "$data"
fi

settings conf/mfcc.conf conf/vad.conf
if begin 1 "MFCC and energy VAD"; then
  estimate "$(hours "$data/train")" 11 500 "$data"
  for set in train eval; do
    features_and_vad mfcc "$data/$set" "$data/mfcc"
  done
fi

settings seed
if begin 2 "augmentation: reverberation, noise, music, babble"; then
  shared/augment.sh --seed "$seed" \
    --rir-lists "$data/rirs/smallroom/rir_list $data/rirs/mediumroom/rir_list" \
    --noise "$data/musan_noise" --music "$data/musan_music" \
    --babble "$data/musan_speech" "$data/train" "$data/train_aug"
fi

settings aug_utts
if begin 3 "MFCC of the augmented copies"; then
  copies=$(wc -l <"$data/train_aug/utt2spk")
  part=$((aug_utts < copies ? aug_utts : copies))
  utils/subset_data_dir.sh "$data/train_aug" "$part" "$data/train_aug_part"
  estimate "$(hours "$data/train_aug_part")" 11 400 "$data"
  steps/make_mfcc.sh --write-utt2num-frames true --mfcc-config conf/mfcc.conf \
    --nj "$nj" --cmd "$train_cmd" "$data/train_aug_part" "$exp/make_mfcc" "$data/mfcc"
  utils/fix_data_dir.sh "$data/train_aug_part"
  utils/combine_data.sh "$data/train_combined" "$data/train" "$data/train_aug_part"
fi

if begin 4 "sliding CMVN and voiced frames"; then
  estimate "$(hours "$data/train_combined")" 11 2000 "$data"
  local/nnet3/xvector/prepare_feats_for_egs.sh --nj "$nj" --cmd "$train_cmd" \
    "$data/train_combined" "$data/train_no_sil" "$data/no_sil"
  utils/fix_data_dir.sh "$data/train_no_sil"
fi

settings min_len min_num_utts
if begin 5 "without short utterances and speakers with few"; then
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    "$data/train_no_sil" "$data/train_able"
fi

settings valid_speakers valid_utts
if begin 6 "validation set and spklist"; then
  shared/hold_out.sh --seed "$seed" --num-speakers "$valid_speakers" \
    --num-utts "$valid_utts" "$data/train" "$data/train_able" "$data/softmax_train" \
    "$data/valid"
fi

marks_in "$nnetdir"
settings nnet_config pretrained
if begin 7 "training; log: $nnetdir/log"; then
  sets=("$data/softmax_train" "$data/softmax_train/spklist" "$data/valid"
    "$data/softmax_train/spklist")
  common=(--cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")" --num-gpus "$num_gpus")
  if [ -n "$pretrained" ]; then
    nnet/run_finetune_nnet.sh "${common[@]}" --checkpoint last "$nnet_config" \
      "${sets[@]}" "$pretrained" "$nnetdir"
  else
    nnet/run_train_nnet.sh "${common[@]}" "$nnet_config" "${sets[@]}" "$nnetdir"
  fi
fi

settings checkpoint node
if begin 8 "embeddings"; then
  estimate "$(hours "$data/train")" 1 150 "$nnetdir"
  for set in train eval; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --use-gpu "$use_gpu" \
      --checkpoint "$checkpoint" --node "$node" "$nnetdir" "$data/$set" "$nnetdir/$set"
  done
fi

settings lda_dim
if begin 9 "mean, LDA and PLDA"; then
  shared/train_backend.sh --cmd "$train_cmd" --lda-dim "$lda_dim" "$data/train" \
    "$nnetdir/train"
fi

if begin 10 "scores: cosine, with AS-norm, after LDA; PLDA"; then
  for trials in "$data"/eval/trials_*; do
    shared/score.sh --cmd "$train_cmd" --cohort "$nnetdir/train/spk_xvector.scp" \
      --top-n 300 "$nnetdir/train" "$trials" "$nnetdir/eval/xvector.scp" \
      "$nnetdir/eval/xvector.scp" "$nnetdir/${trials##*/trials_}/scores"
  done
fi

if begin 11 "EER, minDCF, report with DET curves"; then
  for trials in "$data"/eval/trials_*; do
    list=${trials##*/trials_}
    echo "         trials $list"
    shared/report.sh --utt2spk "$data/eval/utt2spk" --title "VoxCeleb1, trials $list" \
      "$trials" "$nnetdir/$list/scores" "$nnetdir/$list"
  done
fi
# EER in %, PLDA, list o; published for the original, not measured with this recipe:
#   softmax 2.34, A-softmax (m 4) 2.15, AAM-softmax (0.25) 2.03, AM-softmax (0.20) 2.04,
#   with ring loss 2.07, with MHE 2.00. More: RESULTS.md
finish_with "$nnetdir/<list>/results.txt"
