"""Rules that keys of a configuration have among themselves, and keys it knows no more.

`misc/params.py` has the keys, `misc/config_keys.py` what each takes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from misc.config_keys import key, value_faults

if TYPE_CHECKING:
    from misc.params import Params

_ANGULAR, _GE2E = "angular_triplet_loss", "ge2e_loss"
_COMPARING = ("semihard_triplet_loss", _ANGULAR, _GE2E)

# Keys of the original's that are known and refused: of training -> key -> type.
OTHER_TRAININGS: dict[str, dict[str, Any]] = {
    "multitask training (speakers and phones)": {
        "spk_loss_type": str,
        "spk_loss_weight": float,
        "spk_last_layer_no_bn": bool,
        "spk_last_layer_linear": bool,
        "spk_embedding_node": str,
        "phn_loss_type": str,
        "phn_loss_weight": float,
        "phn_last_layer_no_bn": bool,
        "phn_last_layer_linear": bool,
        "phn_embedding_node": str,
        "speaker_dim": int,
        "speaker_left_context": int,
        "speaker_right_context": int,
        "phone_dim": int,
        "phone_layer_size": tuple[int, ...],
        "phone_kernel_size": tuple[int, ...],
        "phone_dilation_size": tuple[int, ...],
        "phone_left_context": int,
        "phone_right_context": int,
        "context_size": int,
        "num_shared_layers": int,
        "num_frames_per_utt": int,
    },
    "multi-input training": {"aux_feature_dim": dict},
}


def other_training_faults(given: Mapping[str, Any]) -> Iterable[str]:
    """The keys of trainings that only the original has."""
    limits = key("").metadata
    for training, types in OTHER_TRAININGS.items():
        names = [name for name in given if name in types]
        for name in names:
            yield from value_faults(name, given[name], types[name], limits)
        if names:
            yield f"'{names[0]}' belongs to {training}, not part of this project"


def combination_faults(params: Params) -> Iterable[str]:
    """What does not go together, though each key is fine by itself."""
    low, high = params.min_segment_len, params.max_segment_len
    if low > high:
        yield f"'min_segment_len' = {low} is above 'max_segment_len' = {high}"
    yield from _rate_faults(params)
    steps, batches = params.num_steps_per_epoch, params.accumulate_batches
    if steps % batches:
        yield (
            f"'num_steps_per_epoch' = {steps}: expected a multiple of "
            f"'accumulate_batches' = {batches}"
        )
    start, full = params.margin_start_step, params.margin_full_step
    if (start or full) and full <= start:
        yield f"'margin_full_step' = {full}: expected more than 'margin_start_step'"
    yield from _augmentation_faults(params)
    if params.pooling_type == "self_attention":
        yield from _attention_faults(params)
    loss = params.loss_func
    if loss in _COMPARING:
        for name in ("num_speakers_per_batch", "num_segments_per_speaker"):
            if getattr(params, name) == 1:
                yield (
                    f"'{name}' = 1: {loss} compares segments of a speaker with each "
                    "other and with other speakers': expected at least 2"
                )
        if "mhe_loss" in params.aux_loss_func:
            yield f"'aux_loss_func': mhe_loss needs an output layer; {loss} has none"
    if loss in (_ANGULAR, _GE2E) and params.batch_type != "end2end":
        yield f"'batch_type': {loss} is validated end to end: expected end2end"
    if loss == _ANGULAR and params.loss_type == "asoftmax":
        if params.margin not in (None, 1, 2, 4):  # None: said already
            yield (
                f"'margin': loss_type = asoftmax takes 1, 2 or 4, got {params.margin:g}"
            )


def _rate_faults(params: Params) -> Iterable[str]:
    rate, lowest = params.learning_rate, params.final_learning_rate
    schedule = params.learning_rate_schedule
    if schedule == "halving" or lowest is None:  # None: said already
        return
    if isinstance(rate, str):
        yield (
            f"'learning_rate_schedule' = {schedule}: expected a number as "
            f"'learning_rate', got the file '{rate}'"
        )
    elif lowest > rate:
        yield f"'final_learning_rate' = {lowest:g} is above 'learning_rate' = {rate:g}"
    if schedule == "exponential" and not lowest:
        yield "'final_learning_rate': exponential never comes to 0: expected more"


def _attention_faults(params: Params) -> Iterable[str]:
    heads = params.att_num_heads
    if not params.att_key_num_nodes:
        yield "'att_key_num_nodes': expected at least one layer, got []"
    split = {"att_value_num_nodes": params.att_value_num_nodes}
    if params.att_split_key:
        split["att_key_num_nodes"] = params.att_key_num_nodes
    for name, nodes in split.items():
        if nodes and nodes[-1] % heads:  # an endpoint's width is for model/ to check
            yield (
                f"'{name}': the last layer is shared by att_num_heads = {heads}: "
                f"expected a multiple, got {nodes[-1]}"
            )


def _augmentation_faults(params: Params) -> Iterable[str]:
    if params.waveform_features and params.raw_features:
        yield (
            "'raw_features': features are stored, or made of waveforms "
            f"(waveform_features = {params.waveform_features}): remove one"
        )
    if params.waveform_features and params.block_pool_mb:
        yield (
            "'block_pool_mb': stored features are read by blocks, recordings "
            f"(waveform_features = {params.waveform_features}) are not: remove one"
        )
    kinds = ("clean", "reverb", "noise", "music", "babble")
    weights = {kind: getattr(params, f"augment_{kind}") for kind in kinds}
    if not any(weights.values()):
        yield "'augment_clean': all weights are 0: expected one above"
    for kind, weight in weights.items():
        for name in ("lists", "snrs", "voices"):
            if weight and getattr(params, f"augment_{kind}_{name}", None) == ():
                if (kind, name) != ("babble", "lists"):
                    yield f"'augment_{kind}_{name}': expected at least one, got []"
    speeds = params.augment_speeds
    if 1 in speeds or len(set(speeds)) < len(speeds):
        yield f"'augment_speeds': expected others than 1, each once, got {list(speeds)}"
    widest = max(params.time_masks, default=0)
    if widest >= params.min_segment_len:
        yield (
            f"'time_masks': a mask of {widest} frames can hide a segment of "
            f"min_segment_len = {params.min_segment_len}: expected less"
        )
