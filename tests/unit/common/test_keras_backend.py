"""Keras on TensorFlow, whatever the user's settings say."""

from __future__ import annotations

import os
import sys

import keras
import pytest

from tfd2l.common.errors import Tfd2lError
from tfd2l.common.keras_backend import KerasBackendError, check_keras_backend


def test_a_variable_for_another_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(KerasBackendError, match="KERAS_BACKEND names 'jax'. Set KERAS_BACKEND=ten"):
        check_keras_backend()
    # The commands print the one in a line, and a library's user expects the other.
    assert issubclass(KerasBackendError, Tfd2lError)
    assert issubclass(KerasBackendError, ImportError)


@pytest.mark.parametrize("value", [None, "", "tensorflow"])
def test_tensorflow_outweighs_the_file_of_keras(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", value or "")
    if value is None:
        monkeypatch.delenv("KERAS_BACKEND")
    check_keras_backend()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_a_keras_that_runs_on_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_keras_backend()
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(KerasBackendError, match="Keras was imported with 'torch'"):
        check_keras_backend()
