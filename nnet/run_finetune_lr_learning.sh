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

help_message="Usage: $0 [options] <config> <train-dir> <train-spklist> <valid-dir> <valid-spklist> <pretrain-nnetdir> <nnetdir>
e.g.: $0 --cmd run.pl nnet_conf/tdnn_softmax.json data/train data/train/spklist \\
  data/valid data/train/spklist exp/xvector exp/xvector_tuned
Options:
  --cmd <run.pl|queue.pl ...>          # how the job is run
  --tune-period <steps>                # with each of the 100 rates
  --checkpoint <last|-1|step>          # of the pretrained model; -1: best validation loss
  --env <name>                         # no effect: the original's virtual environment
  --num-gpus <n>                       # no effect: one does
  --overrides 'key=value key=value'    # keys that win over the config"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 7 ]; then
  echo "$help_message" >&2
  exit 100
fi
config=$1
train=$2
train_spklist=$3
valid=$4
valid_spklist=$5
pretrain=$6
nnetdir=$7

. nnet/training_job.sh

if [ "$num_gpus" != 1 ]; then
  echo "$0: --num-gpus has no effect: the losses of a batch are the same on one" >&2
fi
training_job finetune_lr_learning.py "$nnetdir/log/finetune_lr_learning.log" --tune-period "$tune_period" --checkpoint "$checkpoint"
