"""The x-vector network: a time-delay neural network with pooling.

Snyder, Garcia-Romero, Sell, Povey, Khudanpur: X-vectors: robust DNN embeddings for
speaker recognition, ICASSP 2018. Against the paper, as the original has it: plain
convolutions of 5, 5 and 7 frames without dilation (context 15 instead of 15 spliced),
batch normalisation before the ReLU.

    layer   context (frames)   output (batch, frames, units)
    tdnn1   5                  (B, L - 4,  512)
    tdnn2   5                  (B, L - 8,  512)
    tdnn3   7                  (B, L - 14, 512)
    tdnn4   1                  (B, L - 14, 512)
    tdnn5   1                  (B, L - 14, num_nodes_pooling_layer)
    pooling all                (B, dim), see model/pooling.py
    tdnn6                      (B, 512)
    tdnn7                      (B, num_nodes_last_layer)
"""

from __future__ import annotations

import keras

from misc.params import Params
from model.common import L2Scaling, affine_block
from model.pooling import POOLINGS

EMBEDDING_UNITS = 512


def tdnn(features: keras.KerasTensor, params: Params) -> dict[str, keras.KerasTensor]:
    """Builds the network on features (batch, frames, dim); returns all endpoints.

    The endpoints come in order, under the original's names: `tdnn1_conv`, `tdnn1_bn`,
    `tdnn1_relu`, ..., `pooling`, `tdnn6_dense`, ..., `output`.
    """
    endpoints: dict[str, keras.KerasTensor] = {}
    x, width = features, params.num_nodes_frame_layers
    for name, kernel_size in (("tdnn1", 5), ("tdnn2", 5), ("tdnn3", 7)):
        x = affine_block(endpoints, x, name, width, params, kernel_size)
    x = affine_block(endpoints, x, "tdnn4", width, params)
    affine_block(endpoints, x, "tdnn5", params.num_nodes_pooling_layer, params)
    x = endpoints["pooling"] = POOLINGS[params.pooling_type](endpoints, params)
    x = affine_block(endpoints, x, "tdnn6", EMBEDDING_UNITS, params)
    x = affine_block(
        endpoints,
        x,
        "tdnn7",
        params.num_nodes_last_layer,
        params,
        use_bn=not params.last_layer_no_bn,
        then=None if params.last_layer_linear else "relu",
    )
    if params.feature_norm:
        x = L2Scaling(params.feature_scaling_factor, name="feature_norm")(x)
    endpoints["output"] = x
    return endpoints
