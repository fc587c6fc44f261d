"""Makes sure that Keras runs on TensorFlow, whatever the user's settings of Keras say."""

from __future__ import annotations

import os
import sys

from tfd2l.common.errors import Tfd2lError

__all__ = ["KerasBackendError", "check_keras_backend"]


class KerasBackendError(Tfd2lError, ImportError):
    """The user's settings make Keras run on something else than TensorFlow."""


def check_keras_backend() -> None:
    """Choose TensorFlow for Keras where `~/.keras/keras.json` alone names another backend.

    Raises:
        KerasBackendError: the environment variable KERAS_BACKEND names another backend, or Keras is
            running on another one already.
    """
    if "keras" in sys.modules:
        import keras

        backend, where = keras.config.backend(), "Keras was imported with"
    else:
        # The variable outweighs the file. Keras takes an empty one for none.
        backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
        os.environ["KERAS_BACKEND"] = backend
        where = "the environment variable KERAS_BACKEND names"
    if backend != "tensorflow":
        raise KerasBackendError(
            f"Keras must run on TensorFlow; {where} {backend!r}. Set KERAS_BACKEND=tensorflow, or "
            "unset it, before Python starts."
        )
