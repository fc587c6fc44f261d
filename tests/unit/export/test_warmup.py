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


def test_a_record_has_the_bytes_that_the_protos_give_by_hand(tmp_path: Path) -> None:
    # An Example without features.
    write_warmup(tmp_path / "file", "m", [WarmupRequest("regress", "r", {"inputs": objects(b"")})])
    [record] = tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator()
    # Each field: number * 8 + 2 (bytes), length, content.
    model_spec = b"\x0a\x01m" + b"\x1a\x01r"  # name = 1, signature_name = 3
    examples = b"\x0a\x02" + b"\x0a\x00"  # Input.example_list = 1, ExampleList.examples = 1
    request = b"\x0a\x06" + model_spec + b"\x12\x04" + examples  # model_spec = 1, input = 2
    log = b"\x0a\x0e" + request  # RegressLog.request = 1
    assert record == b"\x1a\x10" + log  # PredictionLog.regress_log = 3


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
    with tf.io.TFRecordWriter(str(tmp_path / "again")) as writer:
        for log in (predict, classify, regress):
            writer.write(log.SerializeToString())
    again = read_warmup(tmp_path / "again")
    assert [(r.method, r.signature) for r in again] == [(r.method, r.signature) for r in REQUESTS]


def test_more_records_than_the_server_allows_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"at most 1000 requests; got 1001\."):
        write_warmup(tmp_path / "file", "m", [REQUESTS[2]] * 1001)
    write_warmup(tmp_path / "file", "m", [REQUESTS[2]] * 1000)
    with tf.io.TFRecordWriter(str(tmp_path / "long")) as writer:
        for record in tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator():
            writer.write(record)
        writer.write(record)
    assert len(read_warmup(tmp_path / "file")) == 1000
    with pytest.raises(ExportError, match=r"at most 1000 requests; got 1001 in .*long"):
        read_warmup(tmp_path / "long")


def test_an_input_that_is_not_an_example_is_neither_written_nor_read(tmp_path: Path) -> None:
    bad = WarmupRequest("classify", "c", {"inputs": objects(b"bad")})
    with pytest.raises(ExportError, match=r"serialised tf\.train\.Examples; .*'c' has b'bad'"):
        write_warmup(tmp_path / "file", "m", [bad])
    # ClassifyLog = 2, its request = 1, its input = 2, the list = 1, an example = 1.
    record = b"\x12\x0b\x0a\x09\x12\x07\x0a\x05\x0a\x03bad"
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        writer.write(record)
    with pytest.raises(ExportError, match="must be a PredictionLog"):
        read_warmup(tmp_path / "file")
    # With an Example that can be read in its place, the record is right.
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        # A field 15 that no Example has, which is ignored.
        writer.write(record.replace(b"bad", b"\x78\x80\x00"))
    assert [request.method for request in read_warmup(tmp_path / "file")] == ["classify"]


def test_logs_of_other_calls_are_refused_by_name(tmp_path: Path) -> None:
    log = PredictionLog()
    log.session_run_log.request.SetInParent()
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        writer.write(log.SerializeToString())
    with pytest.raises(ExportError, match=r"record 0 of .*file is not: it is a session_run_log"):
        read_warmup(tmp_path / "file")
