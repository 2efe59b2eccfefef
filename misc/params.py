"""What a run is: the JSON configuration as a typed, frozen, checked object.

One field per key, with the original's names. A key is known, of its type, in its range
and used by the chosen parts, or nothing starts. Comments are allowed as keys `Note` and
keys that begin with `?`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from collections.abc import Iterable, Sequence

from dataset.errors import InputError
from misc import config_file
from misc.augmentation_keys import AugmentationKeys
from misc.config_keys import (
    cast,
    chooses,
    faults,
    is_list,
    key,
    use_faults,
)
from misc.config_rules import combination_faults, other_training_faults

_ATTENTION = ("pooling_type", "self_attention")
_VLAD = ("pooling_type", "ghost_vlad")
_A = ("loss_func", "asoftmax")
_AM = ("loss_func", "additive_margin_softmax")
_ARC = ("loss_func", "additive_angular_margin_softmax")
_SEMIHARD = ("loss_func", "semihard_triplet_loss")
_ANGULAR = ("loss_func", "angular_triplet_loss")
_GENERALIZED = ("loss_func", "generalized_angular_triplet_loss")
_GE2E = ("loss_func", "ge2e_loss")
_ADDED_MARGIN = (*_AM, *_ARC[1:])
_SCHEDULE = "learning_rate_schedule"
_END_TO_END = ("batch_type", "end2end")
_LAST_LAYER = "its last layer: 0 affine, 1 with ReLU, 2 with BN and ReLU, 3 with tanh"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params(AugmentationKeys):
    """The keys of a configuration; `Params.from_json` reads and checks them.

    What the networks, poolings and losses are called is checked where they are made
    (`model/`), which knows them.
    """

    # Network
    network_type: str = key("the frame-level network, a name in model NETWORKS")
    network_relu_type: str = key(
        "activation of every layer", "relu", choices=("relu", "prelu", "lrelu")
    )
    num_nodes_frame_layers: int = key("units of tdnn1-tdnn4", 512, low=1)
    num_nodes_pooling_layer: int = key("units of tdnn5, the pooled layer", 1500, low=1)
    num_nodes_last_layer: int = key("units of tdnn7", 512, low=1)
    last_layer_no_bn: bool = key("tdnn7 without batch normalisation", False)
    last_layer_linear: bool = key("tdnn7 without activation", False)
    feature_norm: bool = key("scale the output to a fixed length for the loss", False)
    feature_scaling_factor: float = key(
        "that length", used_if=("feature_norm", True), above=0
    )
    batchnorm_momentum: float = key("of the moving averages", 0.99, low=0, high=1)
    weight_l2_regularizer: float = key("L2 on kernels: scale * sum(w^2) / 2", low=0)
    output_weight_l2_regularizer: float | None = key(
        "L2 on the output layer; absent: as the other kernels", None, low=0
    )
    embedding_node: str = key("the endpoint that extraction writes", "tdnn6_dense")

    # Pooling
    pooling_type: str = key("the pooling, a name in model POOLINGS")
    att_key_input: str = key("the endpoint that gives the key", used_if=_ATTENTION)
    att_key_num_nodes: tuple[int, ...] = key(
        "units of the key's layers, at least one", used_if=_ATTENTION, low=1
    )
    att_key_network_type: int = key(_LAST_LAYER, used_if=_ATTENTION, low=0, high=3)
    att_value_input: str = key("the endpoint that is pooled", used_if=_ATTENTION)
    att_value_num_nodes: tuple[int, ...] = key(
        "units of layers between it and the pooling", (), used_if=_ATTENTION, low=1
    )
    att_value_network_type: int = key(_LAST_LAYER, 0, used_if=_ATTENTION, low=0, high=3)
    att_num_heads: int = key("heads that share the value", 1, used_if=_ATTENTION, low=1)
    att_split_key: bool = key(
        "each head sees its part of the key", False, used_if=_ATTENTION
    )
    att_use_scale: bool = key(
        "divide scores by the root of the key's size", True, used_if=_ATTENTION
    )
    att_apply_nonlinear: bool = key(
        "BN and activation after the pooling", False, used_if=_ATTENTION
    )
    att_penalty_term: float = key(
        "weight of the penalty on like heads", 0.0, used_if=_ATTENTION, low=0
    )
    vlad_num_centers: int = key("clusters that are kept", used_if=_VLAD, low=1)
    vlad_num_ghosts: int = key("clusters that are left out", used_if=_VLAD, low=0)
    vlad_key_input: str = key(
        "the endpoint that is assigned to clusters", used_if=_VLAD
    )
    vlad_key_num_nodes: tuple[int, ...] = key(
        "units of layers between it and the assignment", (), used_if=_VLAD, low=1
    )
    vlad_value_input: str = key("the endpoint that is pooled", used_if=_VLAD)
    vlad_value_num_nodes: tuple[int, ...] = key(
        "units of layers between it and the pooling", (), used_if=_VLAD, low=1
    )
    vlad_final_l2_norm: bool = key("scale the result to length 1", True, used_if=_VLAD)

    # Loss
    loss_func: str = key("the training loss, a name in model LOSSES")
    asoftmax_m: int = key("factor of the angle", used_if=_A, choices=(1, 2, 4))
    asoftmax_lambda_min: float = key("smallest lambda", used_if=_A, low=0)
    asoftmax_lambda_base: float = key("lambda at step 0", used_if=_A, low=0)
    asoftmax_lambda_gamma: float = key("decay per step", used_if=_A, low=0)
    asoftmax_lambda_power: float = key("power of the decay", used_if=_A, low=0)
    amsoftmax_m: float = key("margin on the cosine", used_if=_AM, low=0, high=1)
    amsoftmax_lambda_min: float = key("smallest lambda", used_if=_AM, low=0)
    amsoftmax_lambda_base: float = key("lambda at step 0", used_if=_AM, low=0)
    amsoftmax_lambda_gamma: float = key("decay per step", used_if=_AM, low=0)
    amsoftmax_lambda_power: float = key("power of the decay", used_if=_AM, low=0)
    arcsoftmax_m: float = key("margin in radians", used_if=_ARC, low=0, high=1.5)
    arcsoftmax_lambda_min: float = key("smallest lambda", used_if=_ARC, low=0)
    arcsoftmax_lambda_base: float = key("lambda at step 0", used_if=_ARC, low=0)
    arcsoftmax_lambda_gamma: float = key("decay per step", used_if=_ARC, low=0)
    arcsoftmax_lambda_power: float = key("power of the decay", used_if=_ARC, low=0)
    margin_start_step: int = key(
        "steps without margin; then it grows evenly", 0, used_if=_ADDED_MARGIN, low=0
    )
    margin_full_step: int = key(
        "the step from which it is whole; 0: from the first on",
        0,
        used_if=_ADDED_MARGIN,
        low=0,
    )
    aux_loss_func: tuple[str, ...] = key(
        "losses that are added", (), choices=("ring_loss", "mhe_loss")
    )
    ring_loss_init: float = key(
        "length that outputs are drawn to, at first",
        used_if=("aux_loss_func", "ring_loss"),
        above=0,
    )
    ring_loss_lambda: float = key(
        "weight of the ring loss", used_if=("aux_loss_func", "ring_loss"), low=0
    )
    mhe_lambda: float = key(
        "weight of the hyperspherical energy",
        used_if=("aux_loss_func", "mhe_loss"),
        low=0,
    )
    margin: float = key(
        "of a triplet; for angular triplets that of loss_type",
        used_if=(*_SEMIHARD, *_ANGULAR[1:], *_GENERALIZED[1:]),
        low=0,
    )
    triplet_loss_squared: bool = key("squared distances", used_if=_SEMIHARD)
    triplet_type: str = key(
        "which triplets count", used_if=_ANGULAR, choices=("all", "hard")
    )
    loss_type: str = key(
        "whose margin the positive pair gets",
        used_if=_ANGULAR,
        choices=(_A[1], _AM[1], _ARC[1]),
    )
    triplet_center: str = key(
        "what the centres are", used_if=_GENERALIZED, choices=("learnable", "average")
    )
    triplet_center_momentum: float = key(
        "of averaged centres", used_if=("triplet_center", "average"), low=0, high=1
    )
    loss_compute: str = key(
        "form of the hinge", "raw", used_if=_GENERALIZED, choices=("raw",)
    )
    target_margin: float = key(
        "an utterance nearer its centre than this has no loss",
        used_if=_GENERALIZED,
        low=0,
    )
    triplet_topn: int = key(
        "nearest other centres that count; 0: all", used_if=_GENERALIZED, low=0
    )
    triplet_loss_weight: float = key("of the hinges", used_if=_GENERALIZED, low=0)
    center_loss_weight: float = key(
        "of the distance to the own centre", used_if=_GENERALIZED, low=0
    )
    between_loss_weight: float = key(
        "of the distance between centres", used_if=_GENERALIZED, low=0
    )
    l2_loss_weight: float = key(
        "must be 0: use output_weight_l2_regularizer",
        0.0,
        used_if=_GENERALIZED,
        low=0,
        high=0,
    )
    ge2e_loss_type: str = key(
        "form of the loss", used_if=_GE2E, choices=("softmax", "contrast")
    )
    init_end2end_w: float = key("scale at first", 10.0, used_if=_GE2E, above=0)
    init_end2end_b: float = key("offset at first", -5.0, used_if=_GE2E)

    # Optimisation
    seed: int = key("of weights, batches and everything random", low=0)
    optimizer: str = key(
        "rule of the steps", "sgd", choices=("sgd", "momentum", "adam")
    )
    momentum: float = key(
        "what is kept of past gradients",
        used_if=("optimizer", "momentum"),
        low=0,
        high=1,
    )
    use_nesterov: bool = key(
        "Nesterov's momentum", False, used_if=("optimizer", "momentum")
    )
    learning_rate: float | str = key(
        "the (highest) rate; or a file with one rate per epoch", above=0
    )
    learning_rate_schedule: str = key(
        "halving: by the validation loss; cosine, exponential: down to "
        "final_learning_rate at the end of num_epochs; cyclic: up from it and back",
        "halving",
        choices=("halving", "cosine", "exponential", "cyclic"),
    )
    final_learning_rate: float = key(
        "the lowest rate", used_if=(_SCHEDULE, "cosine", "exponential", "cyclic"), low=0
    )
    cycle_steps: int = key(
        "steps from one lowest rate to the next", used_if=(_SCHEDULE, "cyclic"), low=2
    )
    warmup_steps: int = key(
        "steps in which the rate grows evenly from 0 to what it would be", 0, low=0
    )
    min_learning_rate: float = key(
        "training stops below it", 1e-5, used_if=(_SCHEDULE, "halving"), low=0
    )
    reduce_lr_epochs: int = key(
        "epochs without a better loss before halving",
        4,
        used_if=(_SCHEDULE, "halving"),
        low=1,
    )
    early_stop_epochs: int = key(
        "epochs without a better loss before stopping",
        10,
        used_if=(_SCHEDULE, "halving"),
        low=1,
    )
    clip_gradient: bool = key("limit the gradient's global norm", False)
    clip_gradient_norm: float = key("that limit", 3.0, above=0)
    accumulate_batches: int = key(
        "batches whose gradients are averaged for one update of the weights", 1, low=1
    )
    num_epochs: int = key("at most", low=1)
    num_steps_per_epoch: int = key("batches between two validations", low=1)
    precision: str = key(
        "what frames are computed in; weights, statistics and losses are float32",
        "float32",
        choices=("float32", "bfloat16", "float16"),
    )
    jit_compile: bool = key(
        "compile the step by XLA, once for each length of segments", False
    )

    # Batches
    raw_features: bool = key(
        "the data directories hold raw features and a vad.scp: apply sliding CMVN over "
        "300 frames and drop unvoiced frames while reading",
        False,
    )
    batch_type: str = key(
        "of the validation loss; end2end: some segments of some speakers each",
        "softmax",
        choices=("softmax", "end2end"),
    )
    num_valid_speakers_per_batch: int = key("speakers", used_if=_END_TO_END, low=2)
    num_valid_segments_per_speaker: int = key(
        "segments of each", used_if=_END_TO_END, low=2
    )
    sample_by: str = key(
        "how often speakers and utterances come: speaker, all speakers, and all "
        "utterances of one, alike; duration, in proportion to their frames",
        "speaker",
        choices=("speaker", "duration"),
    )
    num_speakers_per_batch: int = key("speakers in a batch", low=1)
    num_segments_per_speaker: int = key("segments of each", 1, low=1)
    min_segment_len: int = key("frames of the shortest", low=1)
    max_segment_len: int = key("frames of the longest", low=1)
    num_parallel_datasets: int = key("reader processes; 0: none", 2, low=0)
    max_queue_size: int = key("batches read ahead", 10, low=1)
    block_pool_mb: int = key(
        "for slow disks: segments come from parts of the archives that are read one "
        "after another, as many as fit into so much memory (MB, for all reader "
        "processes together); 0: from everywhere. See docs/slow_disks.md",
        0,
        low=0,
    )
    max_bad_segments: float = key(
        "the share of training segments that may be missing, cut short, NaN or of "
        "another dimension: they are replaced, told of and counted; 0: the first one "
        "ends the training",
        0.0,
        low=0,
        high=0.5,
    )
    valid_max_iterations: int = key("batches of a validation, at most", 1000, low=1)

    # Fine-tuning
    noload_var_list: tuple[str, ...] = key(
        "weights whose name has one of these in it start anew", ()
    )
    noupdate_var_list: tuple[str, ...] = key(
        "weights whose name has one of these in it stay as they are", ()
    )

    # Checkpoints and logs
    save_checkpoints_steps: int = key("steps between checkpoints", 30000, low=1)
    keep_checkpoint_max: int = key("checkpoints kept, newest first", 10, low=1)
    save_summary_steps: int = key("steps between TensorBoard scalars", 1000, low=1)
    summary_histograms: bool = key(
        "with them, histograms of weights and gradients", False
    )
    show_training_progress: int = key("steps between log lines", 100, low=1)

    def __post_init__(self) -> None:
        for name, kind in TYPES.items():
            if is_list(kind):  # a saved model has lists
                object.__setattr__(self, name, tuple(getattr(self, name) or ()))

    @classmethod
    def from_json(
        cls, path: str, overrides: Sequence[str] = (), read_rates: bool = True
    ) -> Params:
        """Reads a configuration and checks it whole.

        Args:
            path: the JSON file. A file named by `learning_rate` is sought beside it.
            overrides: `key=value` texts that win over the file.
            read_rates: check the file named by `learning_rate`, too.

        Raises:
            InputError: listing every key that is wrong by itself; if none is, all
                that do not go together.
        """
        given = config_file.read(path, overrides)
        _refuse(path, other_training_faults(given))
        _refuse(path, faults(given, FIELDS, TYPES))
        params = cls(
            **{name: cast(value, TYPES[name]) for name, value in given.items()}
        )
        _refuse(path, [*combination_faults(params), *use_faults(given, FIELDS)])
        if isinstance(params.learning_rate, str):
            beside = os.path.join(os.path.dirname(path), params.learning_rate)
            params = dataclasses.replace(params, learning_rate=beside)
            if read_rates:
                params.learning_rate_list()
        return params

    def to_json(self) -> str:
        """The configuration with every default that is of use written out."""
        values = {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and self._uses(name)
        }
        return json.dumps(values, indent=2) + "\n"

    def _uses(self, name: str) -> bool:
        used_if = FIELDS[name].metadata["used_if"]
        return not used_if or chooses(getattr(self, used_if[0]), used_if[1:])

    def learning_rate_list(self) -> list[float] | None:
        """The rate of each epoch from the learning-rate file; None if it is a number.

        Raises:
            InputError: the file is missing, holds no rate, or is too short.
        """
        if not isinstance(self.learning_rate, str):
            return None
        rates = config_file.read_rates(self.learning_rate)
        if len(rates) < self.num_epochs:
            raise InputError(
                f"{self.learning_rate}: {len(rates)} learning rates for num_epochs = "
                f"{self.num_epochs}: add lines or lower num_epochs"
            )
        return rates


FIELDS = {field.name: field for field in dataclasses.fields(Params)}
TYPES = typing.get_type_hints(Params)


def _refuse(path: str, wrong: Iterable[str]) -> None:
    if lines := [f"{path}: {fault}" for fault in wrong]:
        raise InputError("\n".join(lines))
