"""A SavedModel's file: the ops that no server can run, and files that can't be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.support.exports import guarded, save_classifier
from tests.support.small_models import LABELS, Linear, Q, Scratch, preprocess
from tfd2l.export.saved_model import ExportError, has_variables, read_signatures
from tfd2l.export.signatures import export_classifier


def python_function(model: Any, image: tf.Tensor) -> tf.Tensor:
    X = guarded(image)
    return tf.ensure_shape(tf.py_function(lambda x: x, [model.logits(X)], tf.float32), [None, 6])


def numpy_function(model: Any, image: tf.Tensor) -> tf.Tensor:
    return tf.numpy_function(lambda x: x, [model.logits(guarded(image))], tf.float32)


def inner_xla(model: Any, image: tf.Tensor) -> tf.Tensor:
    return tf.function(model.logits, jit_compile=True)(guarded(image))


def xla_in_a_branch(model: Any, image: tf.Tensor) -> tf.Tensor:
    X = guarded(image)
    compiled = tf.function(model.logits, jit_compile=True)
    return tf.cond(tf.reduce_sum(X) > 0, lambda: compiled(X), lambda: model.logits(X))


def random_numbers(model: Any, image: tf.Tensor) -> tf.Tensor:
    return model.logits(tf.nn.dropout(guarded(image), 0.5))


def state_change(model: Any, image: tf.Tensor) -> tf.Tensor:
    model.b.assign_add(tf.ones_like(model.b))
    return model.logits(guarded(image))


def other_device(model: Any, image: tf.Tensor) -> tf.Tensor:
    with tf.device("/GPU:0"):
        return model.logits(guarded(image)) * 1.0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (python_function, "can't call Python.*EagerPyFunc"),
        (numpy_function, "can't call Python.*PyFunc"),
        (inner_xla, "can't ask for XLA"),
        (xla_in_a_branch, "can't ask for XLA"),
        (random_numbers, "draws no random numbers"),
        (state_change, "assigns nothing.*AssignAddVariableOp"),
        (other_device, "asks for no device such as '/device:GPU:0'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_op_that_no_server_can_run_is_refused(
    function: Callable[[Any, tf.Tensor], tf.Tensor], words: str, tmp_path: Path
) -> None:
    model = Scratch()
    save_classifier(model, lambda image: function(model, image), tmp_path)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        read_signatures(tmp_path)


def test_xla_of_the_whole_signature_is_refused(tmp_path: Path) -> None:
    model = Linear()
    spec = tf.TensorSpec((None, 2), tf.float32, name="features")
    function = tf.function(
        lambda features: {"prediction": model(features)}, jit_compile=True, input_signature=[spec]
    )
    tf.saved_model.save(model, str(tmp_path), signatures={"serving_default": function})
    with pytest.raises(ExportError, match="can't ask for XLA"):
        read_signatures(tmp_path)


def test_an_unknown_data_type_is_refused(tmp_path: Path) -> None:
    export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    path = tmp_path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    outputs = saved_model.meta_graphs[0].signature_def["serving_default"].outputs
    outputs["logits"].dtype = 999
    path.write_bytes(saved_model.SerializeToString())
    with pytest.raises(ExportError, match=r"have TensorFlow's types and shapes; .*saved_model\.pb"):
        read_signatures(tmp_path)


def test_graphs_with_and_without_variables_are_distinguished(tmp_path: Path) -> None:
    module = tf.Module()
    save_classifier(module, lambda image: tf.zeros((tf.shape(image)[0], Q)), tmp_path / "without")
    export_classifier(Scratch(), tmp_path / "with", labels=LABELS, preprocess=preprocess)
    assert not has_variables(tmp_path / "without")
    assert has_variables(tmp_path / "with")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "readable saved_model.pb"), (b"\x0a\xff", "readable"), (b"", "one MetaGraph")],
)
def test_a_file_that_is_not_a_saved_model_is_refused(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    for read in (read_signatures, has_variables):
        with pytest.raises(ExportError, match=words):
            read(tmp_path)
