"""Batches on their way from a queue into Keras' `fit`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from dataset.data_loader import KaldiDataRandomQueue


class FromStep:
    """A queue that begins with the same batch each time it is iterated.

    With several devices Keras looks at a batch first, and an iterator reads ahead.
    """

    def __init__(self, queue: KaldiDataRandomQueue, step: int) -> None:
        self.queue, self.step = queue, step

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.queue.go_to(self.step)
        return iter(self.queue)


class Feed:
    """Gives batches to `fit`, and remembers what reading them raised."""

    def __init__(
        self, source: Iterable[tuple[np.ndarray, np.ndarray]], dim: int
    ) -> None:
        self.source, self.dim = source, dim
        self.error: Exception | None = None
        self._turn, self._lock = 0, threading.Lock()

    def batches(self):
        """Each time it is called, those before give no more: they may read ahead."""
        with self._lock:
            self._turn += 1
            turn, source = self._turn, iter(self.source)
        while True:
            try:
                with self._lock:
                    if turn != self._turn:
                        return
                    batch = next(source)
            except StopIteration:
                return
            except Exception as error:
                self.error = error
                raise
            yield batch

    def fit(self, model: keras.Model, **arguments: Any) -> None:
        """Keras' `fit`, raising what the source raised."""
        try:
            model.fit(self.keras_data, shuffle=False, verbose=0, **arguments)
        except Exception:
            # TensorFlow wraps what a generator raises in a page of its own.
            if self.error:
                raise self.error from None
            raise

    @functools.cached_property
    def keras_data(self):
        """What `fit` takes. TensorFlow must be told that lengths vary."""
        if keras.backend.backend() != "tensorflow":
            return self.batches()
        import tensorflow as tf

        signature = (
            tf.TensorSpec((None, None, self.dim), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        data = tf.data.Dataset.from_generator(self.batches, output_signature=signature)
        options = tf.data.Options()
        # The threads of its autotuning can hold up the end of fit for most of a minute.
        options.autotune.enabled = False
        return data.with_options(options)
