#!/usr/bin/env bash
# VoxCeleb as it is done today: filterbanks, augmentation and speeds while training, a
# margin that grows, large-margin fine-tuning, cosine with AS-norm; trained on the dev set
# of VoxCeleb2 only. README.md beside this file tells what is needed, and what comes out.
set -euo pipefail

stage=           # empty: go on after the last stage that is done
stop_stage=
nj=40
data=data/modern
exp=exp/modern
voxceleb1=       # the corpora's folders, in any of the published layouts
voxceleb2=
musan=
rirs=            # RIRS_NOISES
protocol=official
lists=           # of trials: o, o_clean, e, e_clean, h, h_clean; empty: all there are
seed=1           # of the data; that of the training stands in the JSON file
min_len=200      # voiced frames; shorter recordings are not trained on
min_num_utts=3   # speakers with fewer recordings are not trained on
valid_speakers=64
valid_utts=20
cohort_utts=10   # recordings of each speaker whose mean is in the cohort of the AS-norm
nnet_config=nnet_conf/tdnn_arcsoftmax_m0.20_online.json
tuning_config=nnet_conf/tdnn_arcsoftmax_m0.50_online_large_margin_finetune.json
num_gpus=1
use_gpu=false    # for the embeddings

# shellcheck disable=SC2034
help_message="Usage: $0 --voxceleb1 dir --voxceleb2 dir --musan dir --rirs dir
  [--nnet-config json] [--tuning-config json] [--lists 'o_clean ...'] [--nj n]
  [--stage n] [--stop-stage n] [options at the top of the script]
These can stand in local.conf, too: voxceleb1=/corpora/VoxCeleb1"
. shared/recipe.sh
check_configs "$nnet_config" "$tuning_config"

nnetdir=$exp/$(basename "$nnet_config" .json)
tuned=$exp/$(basename "$tuning_config" .json)

marks_in "$data"
settings voxceleb1 voxceleb2 musan rirs protocol lists
if begin 0 "data"; then
  for corpus in voxceleb1 voxceleb2 musan rirs; do
    [ -n "${!corpus}" ] || die "--$corpus is not given: README.md tells what is needed"
  done
  local/prepare_voxceleb.py --protocol "$protocol" --voxceleb2 "$voxceleb2" \
    --lists "$lists" "$voxceleb1" "$data"
  shared/prepare_noise.sh "$musan" "$rirs" "$data"
fi

# The energy is the first column of the filterbanks, too: conf/fbank.conf.
settings conf/energy.conf conf/vad.conf
if begin 1 "energy VAD"; then
  estimate "$(hours "$data/train")" 1 500 "$data"
  for set in train eval; do
    features_and_vad mfcc "$data/$set" "$data/vad" conf/energy.conf
    rm "$data/$set/feats.scp" # only the energy
  done
fi

settings min_len min_num_utts valid_speakers valid_utts seed
if begin 2 "without short recordings and speakers with few; validation set, spklist"; then
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    --count-voiced true "$data/train" "$data/train_able"
  shared/hold_out.sh --seed "$seed" --num-speakers "$valid_speakers" \
    --num-utts "$valid_utts" "$data/train" "$data/train_able" "$data/softmax_train" \
    "$data/valid"
fi

settings cohort_utts conf/fbank.conf
if begin 3 "filterbanks of what is scored"; then
  utils/subset_data_dir.sh --per-spk "$data/softmax_train" "$cohort_utts" "$data/cohort"
  estimate "$(hours "$data/cohort")" 29 500 "$data"
  for set in cohort eval; do
    steps/make_fbank.sh --fbank-config conf/fbank.conf --nj "$nj" --cmd "$train_cmd" \
      "$data/$set" "$exp/make_fbank" "$data/fbank"
    utils/fix_data_dir.sh "$data/$set"
  done
fi

overrides=$(sound_lists "$data")
sets=("$data/softmax_train" "$data/softmax_train/spklist" "$data/valid"
  "$data/softmax_train/spklist")

marks_in "$nnetdir"
settings nnet_config
if begin 4 "training; log: $nnetdir/log/train_nnet.log"; then
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")" \
    --num-gpus "$num_gpus" --overrides "$overrides" "$nnet_config" "${sets[@]}" "$nnetdir"
fi

marks_in "$tuned"
settings tuning_config
if begin 5 "large-margin fine-tuning; log: $tuned/log/finetune_nnet.log"; then
  nnet/run_finetune_nnet.sh --cmd "$cuda_cmd" --continue-training "$(goes_on "$tuned")" \
    --num-gpus "$num_gpus" --overrides "$overrides" --checkpoint last "$tuning_config" \
    "${sets[@]}" "$nnetdir" "$tuned"
fi

# Of the network before its tuning, too, for comparison.
if begin 6 "embeddings"; then
  estimate "$(hours "$data/eval" 2)" 1 150 "$exp"
  for network in "$nnetdir" "$tuned"; do
    for set in cohort eval; do
      nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --use-gpu "$use_gpu" \
        --checkpoint last "$network" "$data/$set" "$network/$set"
    done
  done
fi

if begin 7 "scores: cosine, with AS-norm"; then
  for network in "$nnetdir" "$tuned"; do
    cohort=$network/cohort
    $train_cmd "$cohort/log/mean.log" \
      ivector-mean "scp:$cohort/xvector.scp" "$cohort/mean.vec"
    for trials in "$data"/eval/trials_*; do
      shared/score.sh --cmd "$train_cmd" --systems cosine --cohort "$cohort/spk_xvector.scp" \
        --top-n 300 "$cohort" "$trials" "$network/eval/xvector.scp" \
        "$network/eval/xvector.scp" "$network/${trials##*/trials_}/scores"
    done
  done
fi

if begin 8 "EER, minDCF, report with DET curves"; then
  for network in "$nnetdir" "$tuned"; do
    for trials in "$data"/eval/trials_*; do
      list=${trials##*/trials_}
      echo "         trials $list, $(basename "$network")"
      shared/report.sh --utt2spk "$data/eval/utt2spk" --title "VoxCeleb1, trials $list" \
        "$trials" "$network/$list/scores" "$network/$list"
    done
  done
fi
finish_with "$tuned/<list>/results.txt"
