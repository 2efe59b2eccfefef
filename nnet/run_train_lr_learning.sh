#!/usr/bin/env bash
# Looks for a learning rate to train with: trains with ever larger ones. Writes
# <nnetdir>/learning_rate_tuning and its curve; a run in nnetdir is left alone.
# Log: <nnetdir>/log/train_lr_learning.log.
set -euo pipefail

cmd=run.pl
tune_period=100
env=
num_gpus=1
overrides=

help_message="Usage: $0 [options] <config> <train-dir> <train-spklist> <valid-dir> <valid-spklist> <nnetdir>
e.g.: $0 --cmd run.pl nnet_conf/tdnn_softmax.json data/train data/train/spklist \\
  data/valid data/train/spklist exp/xvector
Options:
  --cmd <run.pl|queue.pl ...>          # how the job is run
  --tune-period <steps>                # with each of the 100 rates
  --env <name>                         # no effect: the original's virtual environment
  --num-gpus <n>                       # no effect: one does
  --overrides 'key=value key=value'    # keys that win over the config"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 6 ]; then
  echo "$help_message" >&2
  exit 100
fi
config=$1
train=$2
train_spklist=$3
valid=$4
valid_spklist=$5
nnetdir=$6
pretrain=

. nnet/training_job.sh

if [ "$num_gpus" != 1 ]; then
  echo "$0: --num-gpus has no effect: the losses of a batch are the same on one" >&2
fi
training_job train_lr_learning.py "$nnetdir/log/train_lr_learning.log" --tune-period "$tune_period"
