# shellcheck shell=bash
# How jobs are run. On a cluster: the user's own queue.pl or slurm.pl, with its options,
# or utils/parallel.pl; see docs/cluster.md.
export train_cmd="utils/run.pl"
export cuda_cmd="utils/run.pl"
