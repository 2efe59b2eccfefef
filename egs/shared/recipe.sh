# shellcheck shell=bash
# What every run.sh is built of. It is sourced after the defaults of the options:
#
#   stage= stop_stage= data=data exp=exp corpus= seed=1
#   help_message="Usage: ..."
#   . shared/recipe.sh            # cmd.sh, local.conf, path.sh, then the command line
#   marks_in "$data"              # where the stages that follow leave their marks
#   settings corpus seed          # options that these stages depend on
#   if begin 0 "data"; then
#     ...
#   fi
#   finish
#
# A stage that has finished leaves a mark: <folder>/.stages/<n>, with the settings. Without
# --stage the run does what has no mark, or whose mark is not of the stages that are there
# now: so it goes on where it ended, and a stage that broke is done again. --stage n does
# n and all that follow anew. Marks with other settings end the run.

# shellcheck source=./cmd.sh
. ./cmd.sh
_known=" $(compgen -v | xargs) "
_tell_unknown() { # _tell_unknown <file>: of options that this script does not have
  local _name
  for _name in $(compgen -v); do
    if [[ $_name = [a-z]* && $_known != *" $_name "* ]]; then
      echo "$0: warning: $1: '$_name' is no option of this script" >&2
    fi
  done
}
if [ -f local.conf ]; then
  # shellcheck disable=SC1091
  . ./local.conf
  _tell_unknown local.conf
fi
. ./path.sh
_known=" $(compgen -v | xargs) "
. utils/parse_options.sh
_tell_unknown "the --config file"

die() {
  echo "$0: $*" >&2
  exit 1
}

[ $# -eq 0 ] || die "expected options only, got '$1'; --help tells them"
# shellcheck disable=SC2154
for _option in "$stage" "$stop_stage"; do
  [[ $_option =~ ^[0-9]*$ ]] || die "--stage and --stop-stage: a number, not '$_option'"
done
[[ ${nj-1} =~ ^[1-9][0-9]*$ ]] || die "--nj: a number above zero, not '$nj'"
if [ -n "${KALDI_ROOT:-}" ]; then
  echo "$0: using Kaldi in $KALDI_ROOT"
else
  echo "$0: KALDI_ROOT is not set: using the embedded commands in misc/kaldi"
fi

_settings=()      # the names of variables
_stages=          # the folder of marks
_before=          # the mark of the stage before, as a word
_running=         # the stage that runs, and its mark to be
_mark=
_lock=            # the file descriptor that keeps other runs out meanwhile
_last=            # the number of the last stage asked about
_any=false        # whether a stage was run
_resumed=false    # whether the stage that runs broke before, with the same settings
trap '[ $? -eq 0 ] || [ -z "$_running" ] || echo "$0: stage $_running failed" >&2' EXIT

# Puts the marks of the stages that follow into <folder>, that of what they write.
marks_in() { # marks_in <folder>
  finish
  _stages=$1/.stages
  mkdir -p "$_stages"
}

# Adds what the stages that follow depend on: options (if they are files, their content,
# too), and files, which have a '/' in their names.
settings() { # settings <variable or file> ...
  finish
  _settings+=("$@")
}

_setting() { # _setting <variable or file>: its value
  local value=$1
  [[ $1 = */* ]] || value=${!1}
  if [ -f "$value" ]; then
    value="$value ($(cksum <"$value"))"
  fi
  echo "$value"
}

_noted() { # _noted <name> <mark>: the value in a mark
  awk -v start="$1=" 'index($0, start) == 1 {print substr($0, length(start) + 1)}' "$2"
}

_same_settings() { # _same_settings <mark>: whether they are; else _other tells them
  local name was is
  for name in "${_settings[@]}"; do
    was=$(_noted "$name" "$1")
    is=$(_setting "$name")
    if [ "$was" != "$is" ]; then
      _other="$name '$was', and now it is '$is'"
      return 1
    fi
  done
}

_holders() { # _holders <file>: the processes that have it open, but for this one
  local fd pid pids=
  for fd in /proc/[0-9]*/fd/*; do
    pid=${fd#/proc/} pid=${pid%%/*}
    if [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] && [ "$fd" -ef "$1" ]; then
      pids="$pids $pid"
    fi
  done
  echo "${pids# }"
}

# Whether a stage is to be run.
begin() { # begin <stage> <what it does>
  finish
  local name
  _mark=$_stages/$1 _last=$1
  if [ "$1" -gt "${stop_stage:-$1}" ]; then
    return 1
  fi
  if [ -n "$stage" ] && [ "$1" -lt "$stage" ] && [ ! -f "$_mark" ]; then
    return 1 # done by hand, or brought from elsewhere: the user's word counts
  fi
  if [ -f "$_mark" ] && { [ "$1" -lt "${stage:-0}" ] || {
    [ -z "$stage" ] && [ "$(_noted after "$_mark")" = "$_before" ]; }; }; then
    _same_settings "$_mark" ||
      die "stage $1 was done with $_other: --stage $1 does it and what follows anew;" \
        "other --data and --exp folders keep both"
    _before=$(_noted id "$_mark")
    echo "         stage $1: done before ($2)"
    return 1
  fi
  # Held by the jobs, too, which may outlive a run that was killed.
  exec {_lock}>>"$_stages/lock"
  flock -w 10 "$_lock" || die "stage $1: another run, or what a killed one has left, is at" \
    "work on ${_stages%/*} (processes $(_holders "$_stages/lock")): wait for it or end it;" \
    "other --data and --exp folders are free"
  for name in "$_stages"/[0-9]*; do
    case ${name##*/} in
      *.begun | '[0-9]*') ;;
      *) [ "${name##*/}" -lt "$1" ] || rm "$name" ;;
    esac
  done
  _running=$1 _started=$SECONDS _any=true
  if [ -z "$stage" ] && [ -f "$_mark.begun" ] && _same_settings "$_mark.begun" &&
    [ "$(_noted after "$_mark.begun")" = "$_before" ]; then
    _resumed=true
    echo "$(date +%T) stage $1, taken up again: $2"
    return 0
  fi
  _resumed=false
  {
    echo "# stage $1: $2"
    echo "id=$(date +%s.%N).$$"
    echo "after=$_before"
    for name in "${_settings[@]}"; do
      echo "$name=$(_setting "$name")"
    done
  } >"$_mark.begun" || die "cannot write $_mark.begun"
  echo "$(date +%T) stage $1: $2"
}

# Whether a stage that broke can go on with <file>: it was written then, not before.
resumable() { # resumable <file>
  $_resumed && [ "$1" -nt "$_mark.begun" ]
}

# Prints whether the stage goes on with the training in <nnetdir>, for --continue-training.
goes_on() { # goes_on <nnetdir>
  if resumable "$1/nnet/config.json"; then echo true; else echo false; fi
}

# Ends the stage that runs: says how long it took, and leaves its mark.
finish() {
  [ -n "$_running" ] || return 0
  local took=$((SECONDS - _started))
  echo "         stage $_running took $took s"
  echo "took=$took" >>"$_mark.begun"
  mv "$_mark.begun" "$_mark" || die "cannot write $_mark"
  exec {_lock}>&-
  _before=$(_noted id "$_mark")
  _running=
}

# Ends a run: says where the results are.
finish_with() { # finish_with <results>
  finish
  [ "${stage:-0}" -le "$_last" ] || die "--stage $stage: the last stage is $_last"
  $_any || echo "All stages were done before; --stage n does n and what follows anew."
  [ "${stop_stage:-$_last}" -lt "$_last" ] || echo "Results: $1"
}

# Ends a run at once that could not be trained in the end.
check_configs() { # check_configs <json> ...
  python3 nnet/check_config.py "$@" || exit 1
}

# Hours of sound in so many copies of a data directory: by utt2dur or utt2num_frames, else
# by the number of utterances, of $seconds_per_utterance each.
hours() { # hours <data-dir> [<copies>]
  if [ -f "$1/utt2dur" ]; then
    awk -v n="${2:-1}" '{s += n * $2} END {print s / 3600}' "$1/utt2dur"
  elif [ -f "$1/utt2num_frames" ]; then
    awk -v n="${2:-1}" '{s += n * $2} END {print s / 360000}' "$1/utt2num_frames"
  else
    echo "         no durations in $1 yet: ${seconds_per_utterance:-8} s an utterance" \
      "assumed" >&2
    awk -v n="${2:-1}" -v mean="${seconds_per_utterance:-8}" \
      'END {print n * NR * mean / 3600}' "$1/utt2spk"
  fi
}

# Says what a stage will take, and refuses it where the disk is too small.
estimate() { # estimate <hours> <megabytes per hour> <times real time, a job> <folder>
  local free needed
  mkdir -p "$4"
  free=$(df -Pk "$4" | awk 'NR == 2 {printf "%.0f", $4 / 1000}')
  needed=$(awk -v h="$1" -v m="$2" 'BEGIN {printf "%.0f", h * m}')
  # shellcheck disable=SC2154
  awk -v h="$1" -v m="$needed" -v free="$free" -v x="$3" -v nj="$nj" -v where="$4" 'BEGIN {
    printf "         %.1f h of sound: about %.1f GB in %s (%.0f GB free), %.1f h with %d jobs\n",
      h, m / 1000, where, free / 1000, h / x / nj, nj}'
  [ "$needed" -le "$free" ] ||
    die "about $needed MB are needed in $4, where $free MB are free: free some, or move" \
      "$4 to a larger disk and put a link to it in its place"
}

# Prints overrides: the lists of sounds that a training on waveforms augments with, where
# shared/prepare_noise.sh put them. The backslashes are for the shell that run.pl starts.
sound_lists() { # sound_lists <data>
  local kind room responses=()
  for kind in noise music babble; do
    echo "augment_${kind}_lists=$(listed "$1/musan_${kind/babble/speech}")"
  done
  for room in smallroom mediumroom; do
    # What shared/store_recordings.sh has brought to another rate is a wav.scp.
    if [ -f "$1/rirs/$room/wav.scp" ]; then
      responses+=("$1/rirs/$room/wav.scp")
    else
      responses+=("$1/rirs/$room/rir_list")
    fi
  done
  echo "augment_reverb_lists=$(listed "${responses[@]}")"
}

listed() { # listed <name> ...: a list of JSON, as an override
  local name text=
  for name in "$@"; do
    text="$text${text:+,}\\\"$name\\\""
  done
  echo "[$text]"
}

# MFCC or filterbanks with their energy VAD.
# shellcheck disable=SC2154
features_and_vad() { # features_and_vad <mfcc|fbank> <data-dir> <feature-dir> [<config>]
  "steps/make_$1.sh" --write-utt2num-frames true --write-utt2dur true \
    "--$1-config" "${4:-conf/$1.conf}" --nj "$nj" --cmd "$train_cmd" \
    "$2" "$exp/make_$1" "$3"
  utils/fix_data_dir.sh "$2"
  sid/compute_vad_decision.sh --nj "$nj" --cmd "$train_cmd" --vad-config conf/vad.conf \
    "$2" "$exp/make_vad" "$3"
  utils/fix_data_dir.sh "$2"
}
