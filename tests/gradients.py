"""Gradients on whichever backend Keras runs on."""

from __future__ import annotations

import keras
import numpy as np


def value_and_gradients(function, variables):
    """A scalar function of no arguments, and its gradients in some variables.

    Returns:
        The value, and a float64 array for each of `variables`; zeros where the function
        does not depend on it.
    """
    if keras.backend.backend() == "jax":
        value, gradients = _by_jax(function, variables)
    else:
        value, gradients = _by_tensorflow(function, variables)
    return float(value), [np.asarray(g, np.float64) for g in gradients]


def _by_tensorflow(function, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch([v.value for v in variables])
        value = function()
    zero = tf.UnconnectedGradients.ZERO
    return value, tape.gradient(
        value, [v.value for v in variables], unconnected_gradients=zero
    )


def _by_jax(function, variables):
    import jax

    def stateless(values):
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)):
            return function()

    return jax.value_and_grad(stateless)([v.value for v in variables])
