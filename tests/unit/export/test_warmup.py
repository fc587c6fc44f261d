"""The warm-up file: what is written, what is read back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tests.support.small_models import IMAGES, objects
from tfd2l.export.saved_model import ExportError
from tfd2l.export.warmup import WarmupRequest, read_warmup, write_warmup

EXAMPLES = [
    tf.train.Example(features={"feature": {"x": {"float_list": {"value": [value]}}}})
    for value in (1.0, 2.0)
]
SERIALISED = objects(*(example.SerializeToString() for example in EXAMPLES))
REQUESTS = [
    WarmupRequest("predict", "serving_default", {"image": IMAGES[:2], "text": objects(b"\xff")}),
    WarmupRequest("classify", "classify", {"inputs": SERIALISED}),
    WarmupRequest("regress", "regress", {"inputs": SERIALISED[:1]}),
]


def test_requests_come_back_unchanged(tmp_path: Path) -> None:
    write_warmup(tmp_path / "file", "mlp", REQUESTS)
    found = read_warmup(tmp_path / "file")
    assert [(r.method, r.signature) for r in found] == [(r.method, r.signature) for r in REQUESTS]
    for request, read in zip(REQUESTS, found, strict=True):
        assert {*read.inputs} == {*request.inputs}
        for name, array in request.inputs.items():
            np.testing.assert_array_equal(read.inputs[name], array, strict=True)


def test_each_record_is_a_log_of_its_method(tmp_path: Path) -> None:
    write_warmup(tmp_path / "file", "mlp", REQUESTS)
    records = list(tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator())
    predict, classify, regress = (PredictionLog.FromString(record) for record in records)
    spec = predict.predict_log.request.model_spec
    assert (spec.name, spec.signature_name) == ("mlp", "serving_default")
    image = tf.make_ndarray(predict.predict_log.request.inputs["image"])
    np.testing.assert_array_equal(image, IMAGES[:2])
    assert [*classify.classify_log.request.input.example_list.examples] == EXAMPLES
    assert [*regress.regress_log.request.input.example_list.examples] == EXAMPLES[:1]


def test_an_input_that_is_not_an_example_is_not_read(tmp_path: Path) -> None:
    # ClassifyLog = 2, its request = 1, its input = 2, the list = 1, an example = 1.
    record = b"\x12\x0b\x0a\x09\x12\x07\x0a\x05\x0a\x03bad"
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        writer.write(record)
    with pytest.raises(ExportError, match="must be a PredictionLog"):
        read_warmup(tmp_path / "file")


def test_logs_of_other_calls_are_refused_by_name(tmp_path: Path) -> None:
    log = PredictionLog()
    log.session_run_log.request.SetInParent()
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        writer.write(log.SerializeToString())
    with pytest.raises(ExportError, match=r"must be a PredictionLog .*file: got a session_run_log"):
        read_warmup(tmp_path / "file")
