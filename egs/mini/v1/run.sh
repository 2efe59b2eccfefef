#!/usr/bin/env bash
# From wav files to an EER, on a corpus that anyone has: README.md beside this file.
set -euo pipefail

stage=0
stop_stage=11
nj=2
data=data
exp=exp
corpus=          # a folder with data/{train,eval}; empty: the recipe makes its speech
seed=1
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

# shellcheck source=./cmd.sh
. ./cmd.sh
. ./path.sh
. utils/parse_options.sh

if [ $# -ne 0 ]; then
  echo "Usage: $0 [--stage n] [--stop-stage n] [--nj n] [--data dir] [--exp dir]" \
    "[--corpus dir] [--seed n] [--nnet-config json]" >&2
  exit 1
fi

if [ -n "${KALDI_ROOT:-}" ]; then
  echo "$0: using Kaldi in $KALDI_ROOT"
else
  echo "$0: KALDI_ROOT is not set: using the embedded commands in misc/kaldi"
fi
if [ -n "$corpus" ]; then
  : "${nnet_config:=nnet_conf/tdnn_corpus.json}" "${lda_dim:=400}" "${speeds:=0.9 1.1}" \
    "${aug_per_spk:=1000}"
else
  : "${nnet_config:=nnet_conf/tdnn_synthetic.json}" "${lda_dim:=100}" "${aug_per_spk:=10}"
fi
overrides="seed=$seed" online=false valid_utts=1
if grep -q '"waveform_features"' "$nnet_config"; then
  # The network's features are made, and augmented, while training; what stage 2 makes
  # is for LDA and PLDA alone.
  online=true valid_utts=2 min_num_utts=1
  # The backslashes are for the shell that run.pl starts.
  overrides="$overrides augment_reverb_lists=[\\\"$data/noise/rir_list\\\"]"
  overrides="$overrides augment_noise_lists=[\\\"$data/noise/noise\\\"]"
fi
nnetdir=$exp/$(basename "$nnet_config" .json)
mkdir -p "$data" "$exp"

started=0
begin() { # begin <stage> <what it does>: whether the stage is to be run
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] || return 1
  finish
  started=$SECONDS running=$1
  echo "$(date +%T) stage $1: $2"
}
finish() { # says how long the stage before took
  [ -z "${running:-}" ] || echo "         stage $running took $((SECONDS - started)) s"
  running=
}
mfcc_and_vad() { # mfcc_and_vad <data-dir>
  steps/make_mfcc.sh --write-utt2num-frames true --write-utt2dur true \
    --mfcc-config conf/mfcc.conf --nj "$nj" --cmd "$train_cmd" \
    "$1" "$exp/make_mfcc" "$data/mfcc"
  utils/fix_data_dir.sh "$1"
  sid/compute_vad_decision.sh --nj "$nj" --cmd "$train_cmd" --vad-config conf/vad.conf \
    "$1" "$exp/make_vad" "$data/mfcc"
  utils/fix_data_dir.sh "$1"
}
trap '[ $? -eq 0 ] || echo "$0: stage ${running:-?} failed" >&2' EXIT

if begin 0 "data"; then
  if [ -z "$corpus" ]; then
    corpus=$data/speech
    local/make_speech.py --seed "$seed" --nj "$nj" --train-speakers "$train_speakers" \
      --eval-speakers "$eval_speakers" "$corpus"
  fi
  local/make_noise.py --seed "$seed" "$data/noise"
  local/prepare_corpus.py "$corpus" "$data"
  for name in train eval; do
    utils/fix_data_dir.sh "$data/$name"
  done
fi

if begin 1 "MFCC and energy VAD"; then
  for name in train eval; do
    mfcc_and_vad "$data/$name"
  done
fi

if begin 2 "augmentation: speeds, reverberation, noise, babble, and their MFCC"; then
  sources=("$data/train")
  for speed in $speeds; do
    utils/data/perturb_data_dir_speed.sh "$speed" "$data/train" "$data/train_sp$speed"
    mfcc_and_vad "$data/train_sp$speed"
    sources+=("$data/train_sp$speed")
  done
  utils/combine_data.sh "$data/train_clean" "${sources[@]}"

  # Copies keep the frames of the original, so they keep its voice activity.
  steps/data/reverberate_data_dir.py --rir-set-parameters "1.0, $data/noise/rir_list" \
    --speech-rvb-probability 1 --pointsource-noise-addition-probability 0 \
    --isotropic-noise-addition-probability 0 --num-replications 1 \
    --source-sampling-rate 16000 --random-seed "$seed" \
    "$data/train_clean" "$data/train_rvb"
  utils/copy_data_dir.sh --utt-suffix -reverb "$data/train_rvb" "$data/train_reverb"
  steps/data/augment_data_dir.py --utt-suffix noise --fg-interval 1 \
    --fg-snrs "15:10:5:0" --fg-noise-dir "$data/noise/noise" --random-seed "$seed" \
    "$data/train_clean" "$data/train_noise"
  steps/data/augment_data_dir.py --utt-suffix babble --bg-snrs "20:17:15:13" \
    --num-bg-noises "3:4:5:6:7" --bg-noise-dir "$data/train" --random-seed "$seed" \
    "$data/train_clean" "$data/train_babble"
  utils/combine_data.sh "$data/train_aug" "$data/train_reverb" "$data/train_noise" \
    "$data/train_babble"
  steps/make_mfcc.sh --write-utt2num-frames true --mfcc-config conf/mfcc.conf \
    --nj "$nj" --cmd "$train_cmd" "$data/train_aug" "$exp/make_mfcc" "$data/mfcc"
  utils/fix_data_dir.sh "$data/train_aug"
  utils/combine_data.sh "$data/train_combined" "$data/train_clean" "$data/train_aug"
  utils/fix_data_dir.sh "$data/train_combined"
fi

if ! $online && begin 3 "sliding CMVN and voiced frames"; then
  local/nnet3/xvector/prepare_feats_for_egs.sh --nj "$nj" --cmd "$train_cmd" \
    "$data/train_combined" "$data/train_no_sil" "$data/no_sil"
  utils/fix_data_dir.sh "$data/train_no_sil"
fi

if begin 4 "without short utterances and speakers with few"; then
  if $online; then
    all=$data/train
    copy-vector "scp:$all/vad.scp" ark,t:- | awk '{
      n = 0; for (i = 3; i < NF; i++) n += $i
      print $1, n }' >"$data/num_voiced"
  else
    all=$data/train_no_sil
    cp "$all/utt2num_frames" "$data/num_voiced"
  fi
  awk -v n="$min_len" '$2 > n {print $1}' "$data/num_voiced" >"$data/long_utts"
  utils/subset_data_dir.sh --utt-list "$data/long_utts" "$all" "$data/train_long"
  awk -v n="$min_num_utts" 'NF > n {print $1}' "$data/train_long/spk2utt" \
    >"$data/able_spks"
  utils/subset_data_dir.sh --spk-list "$data/able_spks" "$data/train_long" \
    "$data/train_able"
  echo "         $(wc -l <"$all/utt2spk") utterances and" \
    "$(wc -l <"$all/spk2utt") speakers before," \
    "$(wc -l <"$data/train_able/utt2spk") and $(wc -l <"$data/able_spks") after"
fi

if begin 5 "validation set and spklist"; then
  # A recording is held out with all its copies: none of them is trained on.
  utils/filter_scp.pl "$data/train_able/utt2spk" "$data/train/utt2spk" |
    utils/utt2spk_to_spk2utt.pl >"$data/clean_spk2utt"
  "$TF_KALDI_ROOT/misc/tools/sample_validset_spk2utt.py" --seed "$seed" \
    "$valid_speakers" "$valid_utts" "$data/clean_spk2utt" >"$data/held_out_spk2utt"
  awk -v train="$data/utts_softmax_train" -v valid="$data/utts_valid" '
    NR == FNR { for (i = 2; i <= NF; i++) held[$i]; next }
    { recording = $1
      sub(/^sp[0-9.]+-/, "", recording)
      sub(/-(reverb|noise|babble)$/, "", recording)
      print $1 > ((recording in held) ? valid : train) }
    ' "$data/held_out_spk2utt" "$data/train_able/utt2spk"
  for name in softmax_train valid; do
    utils/subset_data_dir.sh --utt-list "$data/utts_$name" "$data/train_able" \
      "$data/$name"
  done
  awk '{print $1, NR - 1}' "$data/softmax_train/spk2utt" >"$data/softmax_train/spklist"
fi

if begin 6 "training; log: $nnetdir/log/train_nnet.log"; then
  nnet/run_train_nnet.sh --cmd "$cuda_cmd" --overrides "$overrides" "$nnet_config" \
    "$data/softmax_train" "$data/softmax_train/spklist" \
    "$data/valid" "$data/softmax_train/spklist" "$nnetdir"
  tail -n 1 "$nnetdir/nnet/valid_loss" | awk '{printf "         after epoch %d:\
 validation loss %.3f, EER %.2f %%\n", $1, $2, 100 * $3}'
fi

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
eval="scp:$nnetdir/eval/xvector.scp"
pairs="cut -d' ' -f1,2 $trials |"
if begin 8 "cosine, after subtracting the mean of the training set; and AS-norm"; then
  utils/filter_scp.pl "$data/train/utt2spk" "$train/xvector.scp" >"$train/clean.scp"
  $train_cmd "$nnetdir/scores/log/mean.log" \
    ivector-mean "scp:$train/clean.scp" "$train/mean.vec"
  centred="ark:ivector-subtract-global-mean $train/mean.vec $eval ark:- |"
  centred="$centred ivector-normalize-length --scaleup=false ark:- ark:- |"
  $train_cmd "$nnetdir/scores/log/cosine.log" \
    ivector-compute-dot-products "$pairs" "$centred" "$centred" \
    "$nnetdir/scores/cosine"
  $train_cmd "$nnetdir/scores/log/as_norm.log" \
    score-normalize --method=as-norm --top-n=100 "$pairs" "$centred" "$centred" \
    "ark:ivector-subtract-global-mean $train/mean.vec scp:$train/clean.scp ark:- |" \
    "$nnetdir/scores/cosine_as_norm"
fi

if begin 9 "LDA and PLDA"; then
  $train_cmd "$nnetdir/scores/log/lda.log" \
    ivector-compute-lda --total-covariance-factor="$lda_factor" --dim="$lda_dim" \
    "ark:ivector-subtract-global-mean scp:$train/xvector.scp ark:- |" \
    "ark:$data/train_backend/utt2spk" "$train/transform.mat"
  $train_cmd "$nnetdir/scores/log/plda.log" \
    ivector-compute-plda "ark:$data/train_backend/spk2utt" \
    "ark:ivector-subtract-global-mean scp:$train/xvector.scp ark:- | transform-vec $train/transform.mat ark:- ark:- | ivector-normalize-length ark:- ark:- |" \
    "$train/plda"
  projected="ark:ivector-subtract-global-mean $train/mean.vec $eval ark:- |"
  projected="$projected transform-vec $train/transform.mat ark:- ark:- |"
  projected="$projected ivector-normalize-length ark:- ark:- |"
  unit="$projected ivector-normalize-length --scaleup=false ark:- ark:- |"
  $train_cmd "$nnetdir/scores/log/lda_cosine.log" \
    ivector-compute-dot-products "$pairs" "$unit" "$unit" "$nnetdir/scores/lda_cosine"
  $train_cmd "$nnetdir/scores/log/plda_scoring.log" \
    ivector-plda-scoring --normalize-length=true "$train/plda" \
    "$projected" "$projected" "$pairs" "$nnetdir/scores/plda"
fi

if begin 10 "calibration: what nnet/verify.py decides by"; then
  "$TF_KALDI_ROOT/nnet/make_verifier.py" --mfcc-config conf/mfcc.conf \
    --vad-config conf/vad.conf --checkpoint last --mean "$train/mean.vec" \
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
  nnet/eval.py --output-dir "$nnetdir/report" --utt2spk "$data/eval/utt2spk" \
    --llr "PLDA, calibrated on these" "$trials" cosine="$nnetdir/scores/cosine" \
    "cosine, AS-norm=$nnetdir/scores/cosine_as_norm" \
    LDA+cosine="$nnetdir/scores/lda_cosine" PLDA="$nnetdir/scores/plda" \
    "PLDA, calibrated on these=$nnetdir/scores/plda_llr" |
    tee "$nnetdir/results.txt"
fi
finish
