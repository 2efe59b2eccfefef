"""Poolings: from frames (batch, frames, channels) to one vector (batch, dim).

A pooling is a function `(endpoints, params) -> tensor`: it picks its inputs among the
endpoints of the network so far, and adds what it wants seen. To add one, write the
function and a row in POOLINGS (docs/adding.md).
"""

from __future__ import annotations

import keras
from keras import layers, ops

from dataset.errors import InputError
from misc.params import Params
from model.common import (
    TINY,
    affine_block,
    batch_normalization,
    l2,
    nonlinearity,
    unit_length,
)

Endpoints = dict[str, keras.KerasTensor]


def deviation(variance):
    """The square root of a variance; 1e-6, without a gradient, where it is <= 1e-12.

    As in the original. The square root never sees a zero.
    """
    return ops.sqrt(ops.where(variance > TINY, variance, TINY))


def _in_float32(inputs):
    """What Keras makes of the inputs of a float32 layer, but not to infer its shape."""
    return [
        x
        if keras.backend.standardize_dtype(x.dtype) == "float32"
        else ops.cast(x, "float32")
        for x in inputs
    ]


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class StatisticsPooling(layers.Layer):
    """Mean and standard deviation over time (Snyder et al., Interspeech 2017).

    The variance is the biased one.

    Input shape: (batch, frames, channels). Output shape: (batch, 2 * channels).
    Computed in float32 whatever the policy: a bfloat16 variance has three digits.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)

    def call(self, x):
        mean = ops.mean(x, axis=1, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=1)
        return ops.concatenate(
            [ops.squeeze(mean, axis=1), deviation(variance)], axis=-1
        )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])


def statistics_pooling(endpoints: Endpoints, params: Params) -> keras.KerasTensor:
    """Statistics of the last frame-level layer."""
    return StatisticsPooling(name="pooling")(list(endpoints.values())[-1])


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class SelfAttention(layers.Layer):
    """Mean and deviation over time, weighted by heads that look at a key.

    Lin et al., A structured self-attentive sentence embedding, ICLR 2017; Zhu et al.,
    Self-attentive speaker embeddings, Interspeech 2018. With a query q_h for each head,
    w[b,h,t] = softmax over t of q_h . k[b,t]; the values are split among the heads.
    The penalty, added to the training loss, is
    penalty * sum_b |W_b W_b^T - I|^2 / batch: heads are to look at different frames.

    Args:
        num_heads: heads; the value's channels must be a multiple.
        split_key: each head sees its own part of the key, not the whole.
        use_scale: divide the scores by the square root of the key's size per head.
        penalty: see above.

    Input shape: key (batch, frames, key channels), value (batch, frames, channels).
    Output: (batch, 2 * channels), the means of all heads and then the deviations; and
    the weights, (batch, heads, frames). In float32 whatever the policy.

    Raises:
        InputError: channels that the heads do not divide.
    """

    def __init__(
        self,
        num_heads: int,
        split_key: bool,
        use_scale: bool,
        penalty: float,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.num_heads = num_heads
        self.split_key = split_key
        self.use_scale = use_scale
        self.penalty = penalty

    def build(self, input_shape):
        key, value = (shape[-1] for shape in input_shape)
        split = [("value", value)] + ([("key", key)] if self.split_key else [])
        for name, size in split:
            if size % self.num_heads:
                raise InputError(
                    f"self_attention: the {name} has {size} channels, not a multiple "
                    f"of att_num_heads = {self.num_heads}"
                )
        self.query = self.add_weight(
            shape=(self.num_heads, key // self.num_heads if self.split_key else key),
            initializer=keras.initializers.TruncatedNormal(stddev=0.1),
            name="query",
        )

    def call(self, inputs):
        key, value = _in_float32(inputs)
        if self.split_key:
            scores = ops.einsum("bthd,hd->bht", self._by_head(key), self.query)
        else:
            scores = ops.einsum("btd,hd->bht", key, self.query)
        if self.use_scale:
            scores = scores / self.query.shape[-1] ** 0.5
        # Not ops.softmax, which warns of a single frame.
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        self._add_penalty(weights)
        value = self._by_head(value)
        mean = ops.einsum("bthd,bht->bhd", value, weights)
        square = ops.square(value - ops.expand_dims(mean, axis=1))
        variance = ops.einsum("bthd,bht->bhd", square, weights)
        rows = (-1, self.num_heads * value.shape[-1])
        parts = [ops.reshape(part, rows) for part in (mean, deviation(variance))]
        return ops.concatenate(parts, axis=-1), weights

    def _by_head(self, x):
        shape = ops.shape(x)
        heads = (self.num_heads, x.shape[-1] // self.num_heads)
        return ops.reshape(x, (shape[0], shape[1], *heads))

    def _add_penalty(self, weights):
        if not self.penalty:
            return
        gram = ops.matmul(weights, ops.transpose(weights, (0, 2, 1)))
        square = ops.square(gram - ops.eye(self.num_heads))
        self.add_loss(self.penalty * ops.mean(ops.sum(square, axis=(1, 2))))

    def get_config(self):
        names = ("num_heads", "split_key", "use_scale", "penalty")
        return super().get_config() | {name: getattr(self, name) for name in names}


def self_attention(endpoints: Endpoints, params: Params) -> keras.KerasTensor:
    """Attention of `att_key_input` over `att_value_input`, each through layers."""
    key = _dense_layers(
        endpoints,
        _frames(endpoints, params, "att_key_input"),
        "att_key",
        params.att_key_num_nodes,
        params,
        params.att_key_network_type,
    )
    value = _dense_layers(
        endpoints,
        _frames(endpoints, params, "att_value_input"),
        "att_value",
        params.att_value_num_nodes,
        params,
        params.att_value_network_type,
    )
    attention = SelfAttention(
        params.att_num_heads,
        params.att_split_key,
        params.att_use_scale,
        params.att_penalty_term,
        name="attention",
    )
    x, endpoints["attention_weights"] = attention([key, value])
    endpoints["att_output_before_nonlinear"] = x
    if params.att_apply_nonlinear:
        x = endpoints["att_post_bn"] = batch_normalization(params, 2, "att_post_bn")(x)
        relu = nonlinearity("relu", params, 2, "att_post_relu")
        x = endpoints["att_post_relu"] = relu(x)
    return x


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class GhostVlad(layers.Layer):
    """Residuals to cluster centres, summed over time, the ghost clusters left out.

    Arandjelovic et al., NetVLAD, CVPR 2016; Zhong et al., GhostVLAD, ACCV 2018.
    R_k = sum_t A_tk (v_t - c_k), each cluster's R_k to unit length, then all in a row.

    Args:
        num_centers: clusters K that are kept.
        num_ghosts: clusters G that only take weight away from the others.
        final_l2_norm: scale the row to unit length, too.
        regularizer: of the centres.

    Input shape: weights A (batch, frames, K + G), value (batch, frames, channels).
    Output: (batch, K * channels); and the centres, (K + G, channels), which have no
    batch axis. In float32 whatever the policy.
    """

    def __init__(
        self,
        num_centers: int,
        num_ghosts: int,
        final_l2_norm: bool,
        regularizer: keras.regularizers.Regularizer | None = None,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.num_centers = num_centers
        self.num_ghosts = num_ghosts
        self.final_l2_norm = final_l2_norm
        self.regularizer = keras.regularizers.get(regularizer)

    def build(self, input_shape):
        self.centers = self.add_weight(
            shape=(self.num_centers + self.num_ghosts, input_shape[1][-1]),
            initializer="glorot_uniform",
            regularizer=self.regularizer,
            name="vlad_centers",
        )

    def call(self, inputs):
        weights, value = _in_float32(inputs)
        # sum_t A (v - c) = A^T v - (sum_t A) c needs no (frames, clusters, channels).
        weighted = ops.einsum("btk,btd->bkd", weights, value)
        total = ops.expand_dims(ops.sum(weights, axis=1), -1)
        residuals = weighted - total * self.centers
        residuals = unit_length(residuals[:, : self.num_centers])
        x = ops.reshape(residuals, (-1, self.num_centers * value.shape[-1]))
        return unit_length(x) if self.final_l2_norm else x, ops.convert_to_tensor(
            self.centers
        )

    def get_config(self):
        return super().get_config() | {
            "num_centers": self.num_centers,
            "num_ghosts": self.num_ghosts,
            "final_l2_norm": self.final_l2_norm,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }


def ghost_vlad(endpoints: Endpoints, params: Params) -> keras.KerasTensor:
    """GhostVLAD of `vlad_value_input`, assigned by `vlad_key_input`."""
    value = _dense_layers(
        endpoints,
        _frames(endpoints, params, "vlad_value_input"),
        "vlad_value",
        params.vlad_value_num_nodes,
        params,
    )
    key = _dense_layers(
        endpoints,
        _frames(endpoints, params, "vlad_key_input"),
        "vlad_key",
        params.vlad_key_num_nodes,
        params,
    )
    regularizer = l2(params.weight_l2_regularizer)
    key = layers.Dense(
        params.vlad_num_centers + params.vlad_num_ghosts,
        kernel_regularizer=regularizer,
        name="vlad_weight_affine",
    )(key)
    weights = layers.Softmax(dtype="float32", name="vlad_weights")(key)
    pool = GhostVlad(
        params.vlad_num_centers,
        params.vlad_num_ghosts,
        params.vlad_final_l2_norm,
        regularizer,
        name="vlad_centers",
    )
    x, centers = pool([weights, value])
    endpoints["vlad_weights"] = weights
    endpoints["vlad_value"] = value
    endpoints["vlad_key"] = key
    endpoints["vlad_centers"] = centers
    return x


# What the last dense layer of a key or value is followed by, by `att_*_network_type`.
LAST_LAYER = ((False, None), (False, "relu"), (True, "relu"), (False, "tanh"))


def _dense_layers(
    endpoints: Endpoints,
    x: keras.KerasTensor,
    name: str,
    units: tuple[int, ...],
    params: Params,
    last_type: int = 2,
) -> keras.KerasTensor:
    """Dense layers `<name>0`, `<name>1`, ...: all but the last with BN and ReLU."""
    for index, size in enumerate(units):
        is_last = index == len(units) - 1
        use_bn, then = LAST_LAYER[last_type] if is_last else (True, "relu")
        x = affine_block(
            endpoints, x, f"{name}{index}", size, params, use_bn=use_bn, then=then
        )
    return x


def _frames(endpoints: Endpoints, params: Params, key: str) -> keras.KerasTensor:
    """The frame-level endpoint that a key of the configuration names."""
    name = getattr(params, key)
    if name not in endpoints:
        raise InputError(
            f"'{key}': no endpoint '{name}' before the pooling; there are: "
            + ", ".join(endpoints)
        )
    return endpoints[name]


POOLINGS = {
    "statistics_pooling": statistics_pooling,
    "self_attention": self_attention,
    "ghost_vlad": ghost_vlad,
}
