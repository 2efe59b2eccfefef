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
  $cmd "$log" python3 "nnet/$program" --config "$config" "$@" "$train" "$train_spklist" \
    "$valid" "$valid_spklist" ${pretrain:+"$pretrain"} "$nnetdir"
}
