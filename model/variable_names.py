"""The original's names of the weights: one vocabulary for checkpoints and lists.

`tdnn/tdnn1_conv/kernel`, `tdnn/attention/query`, `softmax/output/kernel`: what the
original's checkpoints call a variable, `noload_var_list` and `noupdate_var_list` match,
and `nnet/inspect_model.py` shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras

from dataset.errors import InputError

# Layer of ours -> the scope that the original has around it.
SCOPES = (
    (r"(att_(?:key|value)\d+)_\w+", r"attention/\1/"),
    (r"att_post_\w+", "attention/"),
    (r"(vlad_(?:key|value)\d+)_\w+", r"vlad/\1/"),
    (r"vlad_weight_affine", "vlad/"),
)

# What the original's checkpoints hold besides, and its lists may name. Here the
# optimizer starts anew in any fine-tuning.
OPTIMIZER = ("<weight>/optimizer_1", "beta1_power", "beta2_power")


def network_name(network: str, path: str) -> str:
    """The original's name of a weight of the network, from its Keras path."""
    if path == "vlad_centers/vlad_centers":
        path = "vlad/vlad_centers"
    layer = path.split("/")[0]
    for pattern, scope in SCOPES:
        match = re.fullmatch(pattern, layer)
        if match:
            path = match.expand(scope) + path
    return f"{network}/{path}"


def original_names(net: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a SpeakerNet by the original's names, network first."""
    names = {
        network_name(net.network.name, weight.path): weight
        for weight in net.network.weights
    }
    for layer in (net.head, *net.auxiliaries):
        names |= {weight.path: weight for weight in layer.weights}
    return names


def matching(names: Iterable[str], parts: Iterable[str], key: str) -> set[str]:
    """The names that have one of the parts in them.

    Args:
        key: the configuration key of the parts, for the message.

    Raises:
        InputError: a part that is in no name.
    """
    names, found = list(names), set()
    for part in parts:
        hits = {name for name in names if part in name}
        if not hits:
            raise InputError(
                f"'{key}': '{part}' is in no weight's name; there are: "
                + ", ".join(names)
            )
        found |= hits
    return found


def freeze(net: keras.Model, parts: Iterable[str]) -> None:
    """Keeps weights as they are: those with one of the parts in their name.

    A batch normalisation whose moving averages are kept still uses the statistics of
    the batch in training, as in the original.

    Raises:
        InputError: a part that is in no name.
    """
    weights = original_names(net)
    frozen = matching(weights, parts, "noupdate_var_list")
    for name in frozen:
        weights[name].trainable = False
    for layer in net.network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            name = network_name(net.network.name, layer.moving_mean.path)
            if name in frozen:
                layer.momentum = 1.0


def copy_weights(source: keras.Model, net: keras.Model, skipped: Iterable[str]) -> int:
    """Copies weights between SpeakerNets by name.

    Args:
        source: where from; what only it has is ignored.
        net: where to.
        skipped: parts of the names that are not copied, `noload_var_list`.

    Returns:
        How many weights were copied.

    Raises:
        InputError: a weight that the source lacks or has in another shape; a part that
            is in no name.
    """
    theirs, ours = original_names(source), original_names(net)
    anew = matching([*ours, *OPTIMIZER], skipped, "noload_var_list")
    wanted = [name for name in ours if name not in anew]
    wrong = [f"{n} is not in it" for n in wanted if n not in theirs]
    wrong += [
        f"{n} is {tuple(theirs[n].shape)} there and {tuple(ours[n].shape)} here"
        for n in wanted
        if n in theirs and theirs[n].shape != ours[n].shape
    ]
    if wrong:
        raise InputError(
            "the pretrained model does not fit: "
            + "; ".join(wrong)
            + ". What is to start anew goes into noload_var_list"
        )
    for name in wanted:
        ours[name].assign(theirs[name])
    return len(wanted)
