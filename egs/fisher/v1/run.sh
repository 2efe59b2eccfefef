#!/usr/bin/env bash
# From recordings of one's own to a trained model and a verifier: README.md beside this
# file.
# shellcheck disable=SC2034  # options that shared/recipe.sh uses, or that are named by others
set -euo pipefail

stage=               # empty: go on after the last stage that is done
stop_stage=
nj=4
track=classic        # classic: MFCC; modern: filterbanks, masks, large-margin fine-tuning
data=                # empty: data/<track>
exp=                 # empty: exp/<track>

corpus=              # a folder, a table (.csv, .tsv) or a data directory
calibration_corpus=  # another one; empty: speakers of the corpus are put aside
eval_corpus=         # as well
speaker_depth=1      # in folders: which folder below them names the speaker,
speaker_regex=       # or what of the path does
channel=             # of recordings in folders that have several, from 1
rate=16000           # Hz; there must be a conf/16k
resample=false       # bring recordings of higher rates to it
leave_out_bad=false  # do without recordings that cannot be used
eval_speakers=       # empty: a tenth of the speakers each
calibration_speakers=
min_len=150          # voiced frames; shorter utterances are not trained on
min_num_utts=5       # speakers with fewer are not trained on
min_trial_len=100    # voiced frames; shorter utterances are in no trial
valid_speakers=350   # a third of the speakers at most
seed=1               # of the data; that of the training stands in the JSON file

augmentation=online  # online: while training; none
noise=               # a data directory each, or a list as its wav.scp; without any of
music=               # these, noises and rooms are made
babble=              # empty: the training's own voices
rir_lists=           # 'list list ...' of room responses
speeds=              # copies at these are new speakers; empty: none, or "0.9 1.1" (modern)

nnet_config=         # empty: nnet_conf/own_<track>.json
fit_training=true    # steps, batches and lengths fitted to the data; false: as in the JSON
large_margin_config= # empty: nnet_conf/own_large_margin.json (modern); none: without
pretrained=          # a model folder to train on from, in place of random weights

lda_dim=150          # at most the number of training speakers less one
lda_factor=          # of train_backend.sh; empty: 0.5 with few embeddings, else 0

help_message="Usage: $0 --corpus <folder|table|data-dir> [options]
e.g.: $0 --nj 8 --corpus /data/speech
      $0 --track modern --corpus /data/speech.csv --noise data/musan_noise
Options and their defaults are at the top of the script; README.md explains them."
. shared/recipe.sh

# Checks what is cheap to check

one_of() { # one_of <option> <value> <allowed> ...
  local option=$1 value=$2 allowed
  shift 2
  for allowed in "$@"; do
    [ "$value" != "$allowed" ] || return 0
  done
  die "$option: expected one of '$*', got '$value'"
}
one_of --track "$track" classic modern
one_of --augmentation "$augmentation" online none
: "${data:=data/$track}" "${exp:=exp/$track}" "${nnet_config:=nnet_conf/own_$track.json}"
kind=mfcc
if [ "$track" = modern ]; then
  kind=fbank
  : "${large_margin_config:=nnet_conf/own_large_margin.json}"
  [ "$augmentation" = none ] || : "${speeds:=0.9 1.1}"
fi
: "${large_margin_config:=none}"
[ -n "$corpus" ] || die "--corpus: a folder of recordings, a table, or a data directory"
configs=("$nnet_config")
[ "$large_margin_config" = none ] || configs+=("$large_margin_config")
check_configs "${configs[@]}"
[ "$augmentation" = online ] || [ -z "$noise$music$babble$rir_lists$speeds" ] ||
  die "--noise, --music, --babble, --rir-lists, --speeds: without use with --augmentation none"
for name in calibration eval; do
  number=${name}_speakers
  [[ -z ${!number} || ${!number} =~ ^[0-9]+$ && ${!number} -ge 2 ]] ||
    die "--$name-speakers: expected 2 or more, got '${!number}'"
done
conf_dir=conf/$((rate / 1000))k
[ -f "$conf_dir/$kind.conf" ] || die "--rate $rate: make $conf_dir/{mfcc,fbank}.conf"
nnetdir=$exp/$(basename "$nnet_config" .json)
mkdir -p "$data" "$exp"

make_data() { # make_data <corpus> <data-dir>
  local options=(--rate "$rate" --nj "$nj")
  local folder=(--speaker-depth "$speaker_depth" ${channel:+--channel "$channel"})
  [ "$resample" = false ] || options+=(--resample)
  [ "$leave_out_bad" = false ] || options+=(--leave-out-bad)
  [ -z "$speaker_regex" ] || folder[0]=--speaker-regex folder[1]=$speaker_regex
  if [ -f "$1" ]; then
    local/make_data_from_table.py "${options[@]}" "$1" "$2"
  elif [ -f "$1/utt2spk" ]; then
    utils/copy_data_dir.sh "$1" "$2"
  else
    local/make_data_from_folder.py "${options[@]}" "${folder[@]}" "$1" "$2"
  fi
  utils/fix_data_dir.sh "$2"
}

no_common_speakers() { # no_common_speakers <set> <set>
  local common
  common=$(utils/filter_scp.pl "$data/${1}_all/spk2utt" "$data/${2}_all/spk2utt" | cut -d' ' -f1)
  [ -z "$common" ] || die "speakers of both $1 and $2: $(echo "$common" | head -n 3 | xargs);" \
    "take them out of one of the corpora, or give other names to other people"
}

marks_in "$data"
settings corpus calibration_corpus eval_corpus speaker_depth speaker_regex channel \
  rate resample leave_out_bad eval_speakers calibration_speakers seed
if begin 0 "data: recordings and speakers; some of these put aside"; then
  make_data "$corpus" "$data/all"
  sizes=()
  for name in calibration eval; do
    other=${name}_corpus number=${name}_speakers
    if [ -n "${!other}" ]; then
      make_data "${!other}" "$data/${name}_all"
      sizes+=("--$name-speakers" 0)
    elif [ -n "${!number}" ]; then
      sizes+=("--$name-speakers" "${!number}")
    fi
  done
  local/split_speakers.py --seed "$seed" "${sizes[@]}" "$data/all" "$data/split"
  for name in train calibration eval; do
    if [ -s "$data/split/$name" ]; then
      utils/subset_data_dir.sh --spk-list "$data/split/$name" "$data/all" "$data/${name}_all"
    fi
  done
  no_common_speakers train calibration
  no_common_speakers train eval
  no_common_speakers calibration eval
fi

settings augmentation noise music babble rir_lists
if begin 1 "noises and rooms; recordings behind pipes stored, for training on the fly"; then
  if [ "$augmentation" = online ]; then
    pipes=$(grep -c '|$' "$data/train_all/wav.scp") || :
    [ "$pipes" = 0 ] ||
      estimate "$(awk -v n="$pipes" 'BEGIN {print n * 8 / 3600}')" 60 200 "$data"
    shared/store_recordings.sh --nj "$nj" --cmd "$train_cmd" \
      --leave-out-bad "$leave_out_bad" "$data/train_all" "$data/recordings"
    utils/fix_data_dir.sh "$data/train_all"
    if [ -z "$noise$music$rir_lists" ]; then
      local/make_noise.py --seed "$seed" --rate "$rate" "$data/noise"
    fi
  fi
fi

settings track
if begin 2 "$kind and energy VAD"; then
  estimate "$(hours "$data/all")" "$([ $kind = mfcc ] && echo 11 || echo 30)" 600 "$data"
  for name in train calibration eval; do
    features_and_vad $kind "$data/${name}_all" "$data/$kind" "$conf_dir/$kind.conf"
  done
fi

settings min_len min_num_utts min_trial_len
if begin 3 "without short utterances and speakers with few; trials"; then
  shared/select_for_training.sh --min-len "$min_len" --min-num-utts "$min_num_utts" \
    --count-voiced true "$data/train_all" "$data/train_able"
  for name in calibration eval; do
    shared/select_for_training.sh --min-len "$min_trial_len" --min-num-utts 2 \
      --count-voiced true "$data/${name}_all" "$data/$name"
    local/make_trials.py --seed "$seed" "$data/$name" "$data/$name/trials"
  done
fi

settings valid_speakers
if begin 4 "validation set and spklist"; then
  most=$(($(wc -l <"$data/train_able/spk2utt") / 3))
  shared/hold_out.sh --seed "$seed" --num-utts 2 \
    --num-speakers $((valid_speakers < most ? valid_speakers : most > 1 ? most : 2)) \
    "$data/train_all" "$data/train_able" "$data/softmax_train" "$data/valid"
  echo "         $(wc -l <"$data/softmax_train/utt2spk") utterances to train on," \
    "$(wc -l <"$data/valid/utt2spk") to validate"
fi

# The training's overrides: features as the track's, and what is added to them.

overrides="num_parallel_datasets=$nj"
if [ "$augmentation" = none ]; then
  overrides="$overrides raw_features=true"
else
  noises=$noise rooms=$rir_lists
  if [ -z "$noise$music$rir_lists" ]; then
    noises=$data/noise/noise rooms=$data/noise/rir_list
  fi
  read -ra rooms <<<"$rooms"
  overrides="$overrides waveform_features=$kind waveform_config=$conf_dir/$kind.conf"
  overrides="$overrides augment_babble=1"
  [ -z "$babble" ] || overrides="$overrides augment_babble_lists=$(listed "$babble")"
  [ -z "$noises" ] || overrides="$overrides augment_noise=1 augment_noise_lists=$(listed "$noises")"
  [ -z "$music" ] || overrides="$overrides augment_music=1 augment_music_lists=$(listed "$music")"
  [ ${#rooms[@]} -eq 0 ] ||
    overrides="$overrides augment_reverb=1 augment_reverb_lists=$(listed "${rooms[@]}")"
  [ -z "$speeds" ] || overrides="$overrides augment_speeds=[${speeds// /,}]"
fi
fitted() { # fitted <config>: overrides that fit it to the data
  if $fit_training; then
    local/fit_training.py --speeds "$(wc -w <<<"$speeds")" "$1" \
      "$data/train_able/num_voiced" "$data/softmax_train"
  fi
}
lists=("$data/softmax_train" "$data/softmax_train/spklist"
  "$data/valid" "$data/softmax_train/spklist")
validated() { # validated <nnetdir>: says what the last validation gave
  tail -n 1 "$1/nnet/valid_loss" | awk '{printf "         after epoch %d:\
 validation loss %.3f, EER %.2f %%\n", $1, $2, 100 * $3}'
}

marks_in "$nnetdir"
settings nnet_config fit_training speeds pretrained
if begin 5 "training; log: $nnetdir/log/"; then
  more=$(fitted "$nnet_config")
  [ -z "$more" ] || echo "         $more"
  options=(--cmd "$cuda_cmd" --continue-training "$(goes_on "$nnetdir")")
  if [ -z "$pretrained" ]; then
    nnet/run_train_nnet.sh "${options[@]}" --overrides "$overrides $more" "$nnet_config" \
      "${lists[@]}" "$nnetdir"
  else
    nnet/run_finetune_nnet.sh "${options[@]}" \
      --overrides "$overrides $more noload_var_list=$(listed softmax)" "$nnet_config" \
      "${lists[@]}" "$pretrained" "$nnetdir"
  fi
  validated "$nnetdir"
fi

model=$nnetdir
settings large_margin_config
if [ "$large_margin_config" != none ]; then
  model=$nnetdir/large_margin
  if begin 6 "large-margin fine-tuning; log: $model/log/"; then
    more=$(fitted "$large_margin_config")
    [ -z "$more" ] || echo "         $more"
    nnet/run_finetune_nnet.sh --cmd "$cuda_cmd" --checkpoint last \
      --continue-training "$(goes_on "$model")" --overrides "$overrides $more" \
      "$large_margin_config" "${lists[@]}" "$nnetdir" "$model"
    validated "$model"
  fi
fi

if begin 7 "embeddings"; then
  for name in train_able calibration eval; do
    nnet/run_extract_embeddings.sh --cmd "$train_cmd" --nj "$nj" --checkpoint last \
      "$model" "$data/$name" "$model/$name"
  done
fi

train=$model/train_able
# With fewer embeddings than values there is no within-class covariance to speak of.
back_end=plda
settings lda_dim lda_factor
if begin 8 "mean, LDA and PLDA"; then
  utts=$(wc -l <"$train/xvector.scp") speakers=$(wc -l <"$data/train_able/spk2utt")
  dim=$(head -n 1 "$train/xvector.scp" | copy-vector scp:- ark,t:- 2>/dev/null | awk '{print NF - 3}')
  rm -f "$train/transform.mat" "$train/plda"
  if [ $((utts - speakers)) -lt $((2 * dim)) ]; then
    echo "         $utts embeddings of $dim values, of $speakers speakers, are too few for" \
      "LDA and PLDA: cosine only"
    $train_cmd "$train/log/mean.log" ivector-mean "scp:$train/xvector.scp" "$train/mean.vec"
  else
    factor=$([ "$utts" -lt $((40 * dim)) ] && echo 0.5 || echo 0)
    shared/train_backend.sh --cmd "$train_cmd" --lda-factor "${lda_factor:-$factor}" \
      --lda-dim $((lda_dim < speakers ? lda_dim : speakers - 1)) "$data/train_able" "$train"
  fi
fi
[ -f "$train/plda" ] || back_end=cosine

if begin 9 "scores: cosine, with AS-norm; after LDA; PLDA"; then
  systems=cosine cohort=$train/xvector.scp
  [ $back_end = cosine ] || systems="cosine lda_cosine plda"
  [ "$(wc -l <"$train/spk_xvector.scp")" -lt 1000 ] || cohort=$train/spk_xvector.scp
  for name in calibration eval; do
    shared/score.sh --cmd "$train_cmd" --systems "$systems" \
      --cohort "$cohort" "$train" "$data/$name/trials" \
      "$model/$name/xvector.scp" "$model/$name/xvector.scp" "$model/scores/$name"
  done
fi

scores=$model/scores/eval
if begin 10 "verifier: back end and calibration for nnet/verify.py"; then
  parts=(--mean "$train/mean.vec")
  [ $back_end = cosine ] ||
    parts+=(--transform "$train/transform.mat" --plda "$train/plda")
  "$TF_KALDI_ROOT/nnet/make_verifier.py" --checkpoint last "${parts[@]}" "$model" \
    2>"$scores/log/make_verifier.log"
  rm -f "$scores/${back_end}_calibrated_llr"
  speakers=$(wc -l <"$data/calibration/spk2utt")
  [ "$speakers" -ge 10 ] || echo "         calibrated on $speakers speakers only: decisions of" \
    "nnet/verify.py are rough; more: --calibration-speakers or --calibration-corpus"
  log=$scores/log/calibration.log
  if $train_cmd "$log" calibration-train "$data/calibration/trials" \
    "$model/scores/calibration/$back_end" "$model/verifier/calibration.json"; then
    $train_cmd "$scores/log/calibration_apply.log" calibration-apply \
      "$model/verifier/calibration.json" "$scores/$back_end" \
      "$scores/${back_end}_calibrated_llr"
  else
    grep -q "separates the targets" "$log" || exit 1
    echo "         too few or too easy trials to calibrate on: nnet/verify.py will give scores" \
      "without a decision; more speakers: --calibration-speakers or --calibration-corpus"
  fi
fi

if begin 11 "EER, minDCF, actDCF, report with DET curves"; then
  shared/report.sh --utt2spk "$data/eval/utt2spk" "$data/eval/trials" "$scores" "$model"
fi
finish_with "$model/results.txt"
