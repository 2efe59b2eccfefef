"""What a run is: the JSON configuration as a typed, frozen, checked object.

One field per key, with the original's names. A key is known, of its type, in its range
and used by the chosen parts, or nothing starts. Comments are allowed as keys `Note` and
keys that begin with `?`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any

from dataset.errors import InputError


def _key(
    help: str,
    default: Any = MISSING,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    used_if: tuple[str, Any] | None = None,
) -> Any:
    """A configuration key.

    Args:
        help: what it is, with its unit.
        default: taken when the key is absent; a key without one must be given.
        choices: the allowed strings.
        low, high: smallest and largest value.
        above: the value must be larger than this.
        used_if: (other key, value): the key must be given if the other has that value;
            one that belongs to another choice (a loss, an optimizer) is refused.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
        "used_if": used_if,
    }
    if used_if and default is MISSING:
        default = None
    return dataclasses.field(default=default, metadata=metadata)


_AM = ("loss_func", "additive_margin_softmax")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params:
    """The keys of a configuration; `Params.from_json` reads and checks them.

    What the networks, poolings and losses are called is checked where they are made
    (`model/`), which knows them.
    """

    # Network
    network_type: str = _key("the frame-level network, a name in model NETWORKS")
    network_relu_type: str = _key(
        "activation of every layer", "relu", choices=("relu", "prelu", "lrelu")
    )
    num_nodes_frame_layers: int = _key("units of tdnn1-tdnn4", 512, low=1)
    num_nodes_pooling_layer: int = _key("units of tdnn5, the pooled layer", 1500, low=1)
    num_nodes_last_layer: int = _key("units of tdnn7", 512, low=1)
    last_layer_no_bn: bool = _key("tdnn7 without batch normalisation", False)
    last_layer_linear: bool = _key("tdnn7 without activation", False)
    feature_norm: bool = _key("scale the output to a fixed length for the loss", False)
    feature_scaling_factor: float = _key(
        "that length", used_if=("feature_norm", True), above=0
    )
    pooling_type: str = _key("the pooling, a name in model POOLINGS")
    embedding_node: str = _key("the endpoint that extraction writes", "tdnn6_dense")

    # Loss
    loss_func: str = _key("the training loss, a name in model LOSSES")
    amsoftmax_m: float = _key("margin on the cosine", used_if=_AM, low=0, high=1)
    amsoftmax_lambda_min: float = _key("smallest lambda", used_if=_AM, low=0)
    amsoftmax_lambda_base: float = _key("lambda at step 0", used_if=_AM, low=0)
    amsoftmax_lambda_gamma: float = _key("decay per step", used_if=_AM, low=0)
    amsoftmax_lambda_power: float = _key("power of the decay", used_if=_AM, low=0)
    weight_l2_regularizer: float = _key("L2 on kernels: scale * sum(w^2) / 2", low=0)
    output_weight_l2_regularizer: float | None = _key(
        "L2 on the output layer; absent: as the other kernels", None, low=0
    )
    batchnorm_momentum: float = _key("of the moving averages", 0.99, low=0, high=1)

    # Optimisation
    seed: int = _key("of weights, batches and everything random", low=0)
    optimizer: str = _key("", "sgd", choices=("sgd", "momentum", "adam"))
    momentum: float = _key("", used_if=("optimizer", "momentum"), low=0, high=1)
    use_nesterov: bool = _key("Nesterov's momentum", False)
    learning_rate: float | str = _key(
        "a rate, halved by the validation loss; or a file with one rate per epoch",
        above=0,
    )
    min_learning_rate: float = _key("training stops below it", 1e-5, low=0)
    reduce_lr_epochs: int = _key(
        "epochs without a better loss before halving", 4, low=1
    )
    early_stop_epochs: int = _key(
        "epochs without a better loss before stopping", 10, low=1
    )
    clip_gradient: bool = _key("limit the gradient's global norm", False)
    clip_gradient_norm: float = _key("that limit", 3.0, above=0)
    num_epochs: int = _key("at most", low=1)
    num_steps_per_epoch: int = _key("batches between two validations", low=1)

    # Batches
    batch_type: str = _key("of the validation loss", "softmax", choices=("softmax",))
    num_speakers_per_batch: int = _key("", low=1)
    num_segments_per_speaker: int = _key("in a batch", 1, low=1)
    min_segment_len: int = _key("frames", low=1)
    max_segment_len: int = _key("frames", low=1)
    num_parallel_datasets: int = _key("reader processes; 0: none", 2, low=0)
    max_queue_size: int = _key("batches read ahead", 10, low=1)
    valid_max_iterations: int = _key("batches of a validation, at most", 1000, low=1)

    # Checkpoints and logs
    save_checkpoints_steps: int = _key("steps between checkpoints", 30000, low=1)
    keep_checkpoint_max: int = _key("checkpoints kept, newest first", 10, low=1)
    save_summary_steps: int = _key("steps between TensorBoard scalars", 1000, low=1)
    show_training_progress: int = _key("steps between log lines", 100, low=1)

    @classmethod
    def from_json(cls, path: str, overrides: Sequence[str] = ()) -> Params:
        """Reads a configuration and checks it whole.

        Args:
            path: the JSON file. A file named by `learning_rate` is sought beside it.
            overrides: `key=value` texts that win over the file.

        Raises:
            InputError: listing everything that is wrong, not only the first fault.
        """
        given = _read_json(path)
        for text in overrides:
            given.update(_parse_override(text))
        given = {
            k: v for k, v in given.items() if k != "Note" and not k.startswith("?")
        }
        faults = list(_faults(given))
        if faults:
            raise InputError(f"{path}: " + f"\n{path}: ".join(faults))
        params = cls(**{key: _cast(key, value) for key, value in given.items()})
        if isinstance(params.learning_rate, str):
            beside = os.path.join(os.path.dirname(path), params.learning_rate)
            params = dataclasses.replace(params, learning_rate=beside)
            params.learning_rate_list()
        return params

    def to_json(self) -> str:
        """The configuration with every default written out."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return json.dumps(values, indent=2) + "\n"

    def learning_rate_list(self) -> list[float] | None:
        """The rate of each epoch from the learning-rate file; None if it is a number.

        Raises:
            InputError: the file is missing, holds no number, or is too short.
        """
        if not isinstance(self.learning_rate, str):
            return None
        rates = read_rates(self.learning_rate)
        if len(rates) < self.num_epochs:
            raise InputError(
                f"{self.learning_rate}: {len(rates)} learning rates for num_epochs = "
                f"{self.num_epochs}: add lines or lower num_epochs"
            )
        return rates


FIELDS = {field.name: field for field in dataclasses.fields(Params)}
_TYPES = typing.get_type_hints(Params)


def read_rates(path: str) -> list[float]:
    """Learning rates from a text file, one a line."""
    try:
        with open(path, encoding="utf-8") as stream:
            return [float(line) for line in stream if line.strip()]
    except OSError as error:
        raise InputError(f"learning_rate {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"learning_rate {path}: {error}; one number a line") from None


def _read_json(path: str) -> dict[str, Any]:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1 and key != "Note"})
        if twice:
            raise InputError(f"{path}: given twice: {', '.join(twice)}")
        return dict(pairs)

    try:
        with open(path, encoding="utf-8") as stream:
            given = json.load(stream, object_pairs_hook=no_duplicates)
    except OSError as error:
        raise InputError(
            f"Cannot open configuration {path}: {error.strerror}"
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise InputError(f"{path}: expected an object {{...}} of keys and values")
    return given


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: expected key=value")
    try:
        return {key: json.loads(value)}
    except ValueError:
        return {key: value}


def _faults(given: Mapping[str, Any]) -> Iterable[str]:
    for key in given:
        if key not in FIELDS:
            near = difflib.get_close_matches(key, FIELDS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            yield f"unknown key '{key}'{hint}"
    for key, field in FIELDS.items():
        if key in given:
            yield from _value_faults(key, given[key], field.metadata)
        elif field.default is MISSING:
            yield f"key '{key}' is missing ({field.metadata['help'] or 'no default'})"
        yield from _use_faults(key, given, field.metadata["used_if"])
    yield from _combination_faults(given)


def _value_faults(key: str, value: Any, limits: Mapping[str, Any]) -> Iterable[str]:
    wanted = _accepted_types(key)
    # bool is an int to Python, but true is no number to a reader.
    if type(value) not in wanted and not (type(value) is int and float in wanted):
        names = " or ".join(t.__name__ for t in wanted if t is not type(None))
        yield f"'{key}': expected {names}, got {json.dumps(value)}"
    elif isinstance(value, str) and limits["choices"]:
        if value not in limits["choices"]:
            choices = ", ".join(limits["choices"])
            yield f"'{key}': expected one of {choices}, got '{value}'"
    elif isinstance(value, (int, float)):
        low, high, above = limits["low"], limits["high"], limits["above"]
        if low is not None and not value >= low:
            yield f"'{key}': must be at least {low}, got {value}"
        if above is not None and not value > above:
            yield f"'{key}': must be above {above}, got {value}"
        if high is not None and not value <= high:
            yield f"'{key}': must be at most {high}, got {value}"


def _use_faults(
    key: str, given: Mapping[str, Any], used_if: tuple[str, Any] | None
) -> Iterable[str]:
    if used_if is None:
        return
    other, value = used_if
    chosen = given.get(other, FIELDS[other].default)
    if chosen == value and key not in given:
        yield f"key '{key}' is missing: {other} = {json.dumps(value)} needs it"
    if chosen != value and key in given and isinstance(value, str):
        yield f"'{key}' has no use with {other} = {json.dumps(chosen)}: remove it"


def _combination_faults(given: Mapping[str, Any]) -> Iterable[str]:
    low, high = given.get("min_segment_len"), given.get("max_segment_len")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield f"'min_segment_len' = {low} is above 'max_segment_len' = {high}"


def _accepted_types(key: str) -> tuple[type, ...]:
    return typing.get_args(_TYPES[key]) or (_TYPES[key],)


def _cast(key: str, value: Any) -> Any:
    return (
        float(value) if type(value) is int and float in _accepted_types(key) else value
    )
