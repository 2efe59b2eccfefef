#!/usr/bin/env bash
# Extracts embeddings: sliding CMVN, voiced frames, network; then speaker means.
# Called run_extract_embeddings_no_vad.sh it takes all frames, and needs no vad.scp.
set -euo pipefail

nj=32
use_gpu=false
cmd=run.pl
min_chunk_size=25
chunk_size=10000
stage=0
normalize=false
checkpoint=-1
env=
node=
resume=false

help_message="Usage: $0 [options] <nnetdir> <data> <embedding-dir>
e.g.: $0 --nj 8 --node tdnn6_dense exp/xvector data/eval exp/xvector/eval
Options:
  --nj <n>                     # jobs, one thread each
  --use-gpu <true|false>
  --cmd <run.pl|queue.pl ...>  # how the jobs are run
  --min-chunk-size <frames>    # shorter utterances are skipped
  --chunk-size <frames>        # longer ones are averaged over chunks
  --stage <0|1|2|3>            # 0 network, 1 one list, 2 speakers, 3 length 1
  --normalize <true|false>     # embeddings of length 1
  --checkpoint <last|-1|step>  # -1: best validation loss
  --env <name>                 # no effect: the original's virtual environment
  --node <endpoint>            # default: the configuration's embedding_node
  --resume <true|false>        # keep what an interrupted try has written"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 3 ]; then
  echo "$help_message" >&2
  exit 100
fi
nnetdir=$1
data=$2
dir=$3

needed=("$nnetdir/nnet/checkpoint" "$data/feats.scp" "$data/spk2utt")
vad=true
case $0 in
  *_no_vad.sh) vad=false ;;
  *) needed+=("$data/vad.scp") ;;
esac
for file in "${needed[@]}"; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done

if [ -n "$env" ]; then
  echo "$0: --env has no effect: the python3 on the PATH is used (path.sh)" >&2
fi
utts=$(wc -l <"$data/feats.scp")
if [ "$nj" -gt "$utts" ]; then
  nj=$utts
fi
mkdir -p "$dir/log"
gpu=-1
if [ "$use_gpu" = true ]; then
  gpu=0
fi
options=(--gpu "$gpu" --min-chunk-size "$min_chunk_size" --chunk-size "$chunk_size"
  --checkpoint="$checkpoint")
if [ -n "$node" ]; then
  options+=(--node "$node")
fi
if [ "$normalize" = true ]; then
  options+=(--normalize)
fi

if [ "$stage" -le 0 ]; then
  python3 nnet/check_features.py "$nnetdir" "$data"
  if [ "$resume" = true ]; then
    options+=(--resume)
  else
    rm -f "$dir"/xvector.*.ark "$dir"/xvector.*.ark.part* "$dir"/xvector.*.scp
  fi
  if [ "$use_gpu" != true ]; then
    # Once, before many jobs would want to.
    $cmd "$dir/log/make_light.log" \
      python3 nnet/make_light.py --checkpoint="$checkpoint" "$nnetdir"
  fi
  utils/split_data.sh "$data" "$nj"
  sdata=$data/split$nj/JOB
  cmvn="--norm-vars=false --center=true --cmn-window=300"
  if [ -f "$nnetdir/nnet/front_end/cmvn.conf" ]; then # that of the training
    cmvn="--config=$nnetdir/nnet/front_end/cmvn.conf"
  fi
  feats="ark:apply-cmvn-sliding $cmvn scp:$sdata/feats.scp ark:- |"
  if [ "$vad" = true ]; then
    feats="$feats select-voiced-frames ark:- scp,s,cs:$sdata/vad.scp ark:- |"
  fi
  $cmd JOB=1:"$nj" "$dir/log/extract.JOB.log" \
    python3 nnet/extract.py "${options[@]}" "$nnetdir" "$feats" \
    "ark,scp:$dir/xvector.JOB.ark,$dir/xvector.JOB.scp"
fi

if [ "$stage" -le 1 ]; then
  for job in $(seq "$nj"); do
    cat "$dir/xvector.$job.scp"
  done >"$dir/xvector.scp.tmp"
  mv "$dir/xvector.scp.tmp" "$dir/xvector.scp"
  done=$(wc -l <"$dir/xvector.scp")
  echo "$0: embeddings of $done of $utts utterances in $dir/xvector.scp"
  [ "$done" -eq "$utts" ] || echo "$0: $dir/log/extract.*.log say why some are missing"
fi

if [ "$stage" -le 2 ]; then
  $cmd "$dir/log/speaker_mean.log" \
    ivector-mean "ark:$data/spk2utt" "scp:$dir/xvector.scp" \
    "ark,scp:$dir/spk_xvector.ark,$dir/spk_xvector.scp" "ark,t:$dir/num_utts.ark"
fi

if [ "$stage" -le 3 ] && [ "$normalize" = true ]; then
  mv "$dir/xvector.scp" "$dir/xvector_before_norm.scp"
  $cmd "$dir/log/normalize.log" \
    ivector-normalize-length --scaleup=false "scp:$dir/xvector_before_norm.scp" \
    "ark,scp:$dir/xvector.ark,$dir/xvector.scp"
fi
