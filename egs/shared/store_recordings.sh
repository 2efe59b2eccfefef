#!/usr/bin/env bash
# Decodes once what a wav.scp has behind pipes, into FLAC files: a training that makes its
# features on the fly reads parts of recordings, and would decode a pipe whole each time.
set -euo pipefail

cmd=run.pl
nj=4
leave_out_bad=true

help_message="Usage: $0 [options] <data-dir> <folder>
e.g.: $0 --nj 8 data/train data/recordings
The files (mono, 16 bits) go into <folder>; wav.scp names them, wav.scp.pipes is what it was.
wav and flac files stay where they are. Files that an interrupted run has left are used.
Options:
  --cmd <run.pl|queue.pl ...>     # how the jobs are run
  --nj <n>                        # jobs
  --leave-out-bad <true|false>    # do without recordings that cannot be decoded; more than
                                  # one of 20 are an error all the same"

[ -f ./path.sh ] && . ./path.sh
. utils/parse_options.sh

if [ $# -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
data=$1
folder=$2
[ -s "$data/wav.scp" ] || { echo "$0: no recordings in $data/wav.scp" >&2; exit 1; }
log=$folder/log/$(basename "$data")
rm -rf "$log" # the parts of a run with other --nj
mkdir -p "$log"
count=$(wc -l <"$data/wav.scp")
nj=$((nj < count ? nj : count))
parts=() stored=()
for n in $(seq "$nj"); do
  parts+=("$log/wav.$n.scp")
  stored+=("$log/stored.$n.scp")
done
utils/split_scp.pl "$data/wav.scp" "${parts[@]}"
$cmd JOB=1:"$nj" "$log/store.JOB.log" \
  shared/store_recordings.py "$log/wav.JOB.scp" "$folder" "$log/stored.JOB.scp"
cat "${stored[@]}" >"$log/stored.scp"
failed=$((count - $(wc -l <"$log/stored.scp")))
if [ "$failed" -gt 0 ]; then
  grep -h "is left out" "$log"/store.*.log | head -n 3 >&2
  if [ "$leave_out_bad" = false ] || [ $((20 * failed)) -gt "$count" ]; then
    echo "$0: $failed of $count recordings of $data cannot be decoded; all: $log/*.log" >&2
    exit 1
  fi
fi
new=$(awk 'NR == FNR {was[$0]; next} !($0 in was)' "$data/wav.scp" "$log/stored.scp" | wc -l)
echo "         $data: $new of $count recordings stored, $failed left out"
if ! cmp -s "$log/stored.scp" "$data/wav.scp"; then
  cp "$data/wav.scp" "$data/wav.scp.pipes"
  mv "$log/stored.scp" "$data/wav.scp"
fi
