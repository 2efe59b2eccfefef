# shellcheck shell=bash
# How the jobs of all recipes are run. On a cluster: the user's own queue.pl or slurm.pl,
# with its options, or utils/parallel.pl; see docs/cluster.md. For one recipe alone, set
# these in its local.conf.
export train_cmd="utils/run.pl"
export cuda_cmd="utils/run.pl"
