# shellcheck shell=bash disable=SC2154  # the variables are the caller's
# What run_{train,finetune}_{nnet,lr_learning}.sh do alike. They source it once they have
# their options and arguments: config, train, train_spklist, valid, valid_spklist, pretrain (or
# empty), nnetdir, cmd, env, overrides.

for file in "$config" "$train/utt2num_frames" "$train_spklist" "$valid/utt2num_frames" \
  "$valid_spklist" ${pretrain:+"$pretrain/nnet/checkpoint"}; do
  [ -f "$file" ] || { echo "$0: no such file: $file" >&2; exit 1; }
done
if [ -n "$env" ]; then
  echo "$0: --env has no effect: the python3 on the PATH is used (path.sh)" >&2
fi

# Shows how fast it trains, and how long that will take, as soon as the log says it. Gives
# up at the end of its input, which is the end of the job.
first_row() { # first_row <log>
  local row
  until row=$(grep -o -m 1 'step [0-9]* of .* left$' "$1" 2>/dev/null); do
    read -r -t 1 || [ $? -gt 128 ] || return 0
  done
  echo "         $row"
}

training_job() { # training_job <program> <log> <option>...: runs nnet/<program> with $cmd
  local program=$1 log=$2 override
  shift 2
  for override in $overrides; do
    set -- "$@" --set "$override"
  done
  mkdir -p "${log%/*}"
  if [ -f "$log" ]; then
    mkdir -p "$nnetdir/.backup/log"
    mv "$log" "$nnetdir/.backup/log/"
  fi
  # shellcheck disable=SC2034  # it is held open by the job
  exec {watched}> >(first_row "$log")
  $cmd "$log" python3 "nnet/$program" --config "$config" "$@" "$train" "$train_spklist" \
    "$valid" "$valid_spklist" ${pretrain:+"$pretrain"} "$nnetdir"
}
