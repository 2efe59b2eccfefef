#!/usr/bin/env bash
# Looks for a learning rate to fine-tune with: tries ever larger ones. Writes
# <nnetdir>/learning_rate_tuning and its curve; a run in nnetdir is left alone.
# Log: <nnetdir>/log/finetune_lr_learning.log.
set -euo pipefail

cmd=run.pl
tune_period=100
env=
num_gpus=1
checkpoint=-1
overrides=

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 7 ]; then
  echo "Usage: $0 [options] <config> <train-dir> <train-spklist> <valid-dir> <valid-spklist> <pretrain-nnetdir> <nnetdir>" >&2
  echo "e.g.: $0 --cmd run.pl nnet_conf/tdnn_softmax.json data/train data/train/spklist" \
    "data/valid data/train/spklist exp/xvector exp/xvector_tuned" >&2
  echo "Options:" >&2
  echo "  --cmd <run.pl|queue.pl ...>          # how the job is run" >&2
  echo "  --tune-period <steps>                # with each of the 100 rates" >&2
  echo "  --checkpoint <last|-1|step>          # of the pretrained model; -1: best validation loss" >&2
  echo "  --env <name>                         # no effect: the original's virtual environment" >&2
  echo "  --num-gpus <n>                       # no effect: one does" >&2
  echo "  --overrides 'key=value key=value'    # keys that win over the config" >&2
  exit 100
fi
config=$1
train=$2
train_spklist=$3
valid=$4
valid_spklist=$5
pretrain=$6
nnetdir=$7

for file in "$config" "$train/feats.scp" "$train/utt2num_frames" "$train_spklist" \
  "$valid/feats.scp" "$valid/utt2num_frames" "$valid_spklist" "$pretrain/nnet/checkpoint"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done

if [ -n "$env" ]; then
  echo "$0: --env has no effect: the python3 on the PATH is used (path.sh)" >&2
fi
if [ "$num_gpus" != 1 ]; then
  echo "$0: --num-gpus has no effect: the losses of a batch are the same on one" >&2
fi
arguments=(--config "$config" --tune-period "$tune_period" --checkpoint "$checkpoint")
for override in $overrides; do
  arguments+=(--set "$override")
done
mkdir -p "$nnetdir/log"
$cmd "$nnetdir/log/finetune_lr_learning.log" \
  python3 nnet/finetune_lr_learning.py "${arguments[@]}" \
  "$train" "$train_spklist" "$valid" "$valid_spklist" "$pretrain" "$nnetdir"
