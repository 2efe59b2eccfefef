#!/usr/bin/env bash
# Trains a network. Log: <nnetdir>/log/train_nnet.log.
set -euo pipefail

cmd=run.pl
continue_training=false
num_gpus=1
env=
overrides=

help_message="Usage: $0 [options] <config> <train-dir> <train-spklist> <valid-dir> <valid-spklist> <nnetdir>
e.g.: $0 --cmd run.pl nnet_conf/tdnn_softmax.json data/train data/train/spklist \\
  data/valid data/train/spklist exp/xvector
Options:
  --cmd <run.pl|queue.pl ...>          # how the job is run
  --continue-training <true|false>     # go on with the run in nnetdir
  --num-gpus <n>                       # that share each batch
  --env <name>                         # no effect: the original's virtual environment
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

options=(--num-gpus "$num_gpus")
if [ "$continue_training" = true ]; then
  options+=(--cont)
fi
training_job train.py "$nnetdir/log/train_nnet.log" "${options[@]}"
