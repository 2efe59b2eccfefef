#!/usr/bin/env python3
"""Fine-tunes a network: trains on from the weights of another model, for new data.

The pretrained model may be one of the original's. Of its weights, those whose name has
an entry of `noload_var_list` in it start anew (the output layer, for other speakers);
those of `noupdate_var_list` stay as they are. `nnet/inspect_model.py` shows the names.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --set."""
    parser = argparse.ArgumentParser(description=__doc__)
    program.add_training_arguments(parser)
    program.add_pretrained_arguments(parser)
    parser.add_argument("finetune_model", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Checks the configuration before anything slow is imported; then trains."""
    args = parse_args()
    params = program.training_params(args, args.finetune_model)
    program.import_keras_quietly()
    from model.distributed import Sharing
    from model.hosts import own_folder
    from model.trainer import Trainer

    program.repeatable()
    sharing = Sharing.asked_for(args.num_gpus)
    lists = (args.train_dir, args.train_spklist, args.valid_dir, args.valid_spklist)
    with own_folder(args.finetune_model, sharing.rank) as folder:
        trainer = Trainer(params, folder, sharing)
        if args.cont:
            trainer.train(*lists, continue_training=True)
        else:
            trainer.finetune(*lists, args.pretrain_model, args.checkpoint)


if __name__ == "__main__":
    sys.exit(program.main("finetune.py", main))
