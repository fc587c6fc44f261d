"""A loaded version: its answers and refusals, and its self-test."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.raw_models import save_prices
from tests.support.served import export_identity, export_models
from tests.support.small_models import IMAGES, LABELS, objects
from tfd2l.export.c_api.session import load_library
from tfd2l.export.checksums import write_checksums
from tfd2l.export.expected import image_examples
from tfd2l.export.loaded import LoadedVersion, ModelError
from tfd2l.export.saved_model import ExportError
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup

# TF_Code, tensorflow/c/tf_status.h.
INVALID_ARGUMENT = 3


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    return load_library()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def linear(library: ctypes.CDLL, base: Path) -> LoadedVersion:
    return LoadedVersion(library, base / "linear/1", "linear", 1)


@pytest.fixture(scope="module")
def clothes(library: ctypes.CDLL, base: Path) -> LoadedVersion:
    return LoadedVersion(library, base / "clothes/1")


def test_it_answers_as_worked_by_hand(linear: LoadedVersion) -> None:
    features = np.array([[1, 1], [0, -1]], np.float32)
    # 2 a - 3.4 b + 4.2
    found = linear.call("predict", "serving_default", {"features": features})
    assert [*found] == ["prediction"]
    np.testing.assert_allclose(found["prediction"], [2.8, 7.6], rtol=1e-6)
    example = tf.train.Example()
    example.features.feature["features"].float_list.value.extend([1, 1])
    inputs = {"inputs": objects(example.SerializeToString())}
    found = linear.call("regress", "regress", inputs)
    np.testing.assert_allclose(found["outputs"], [2.8], rtol=1e-6)


def test_classify_gives_all_labels_the_likeliest_first(clothes: LoadedVersion) -> None:
    assert (clothes.model, clothes.number) == ("clothes", 0)
    found = clothes.call("classify", "classify", {"inputs": image_examples(IMAGES[:3])})
    assert sorted(found) == ["classes", "scores"]
    predicted = clothes.call("predict", "serving_default", {"image": IMAGES[:3]})
    assert found["classes"][:, 0].tolist() == predicted["label"].tolist()
    assert sorted(found["classes"][0]) == sorted(label.encode() for label in LABELS)


@pytest.mark.parametrize(
    ("method", "signature", "name", "words"),
    [
        ("predict", "none", "features", "'none' not found"),
        ("predict", "serving_default", "other", "inputs must be those"),
        ("regress", "serving_default", "features", "Expected outputs of regress"),
        ("classify", "regress", "inputs", "Expected outputs of classify"),
        ("regress", "regress", "inputs", "parse"),
        ("predict", "serving_default", "features", "hape"),
    ],
)
def test_a_call_that_is_not_for_the_signature_is_an_invalid_argument(
    linear: LoadedVersion, method: str, signature: str, name: str, words: str
) -> None:
    # The model has two features.
    array = objects(b"no example") if name == "inputs" else np.zeros((1, 3), np.float32)
    with pytest.raises(ModelError, match=words) as caught:
        linear.call(method, signature, {name: array})
    assert caught.value.code == INVALID_ARGUMENT


def test_an_array_of_another_dtype_is_an_invalid_argument(
    library: ctypes.CDLL, tmp_path: Path
) -> None:
    version = LoadedVersion(library, export_identity(tmp_path))
    found = version.call("predict", "int16", {"x": np.array([1, -2], np.int16)})
    np.testing.assert_array_equal(found["y"], np.array([1, -2], np.int16), strict=True)
    for array in (objects(b""), np.zeros(1, np.float32)):
        with pytest.raises(ModelError) as caught:
            version.call("predict", "float16", {"x": array})
        assert caught.value.code == INVALID_ARGUMENT


@pytest.mark.parametrize("damage", ["saved_model.pb", "variables.data*"])
def test_an_incomplete_version_can_not_be_loaded(
    library: ctypes.CDLL, base: Path, tmp_path: Path, damage: str
) -> None:
    shutil.copytree(base / "linear/1", tmp_path / "1", ignore=shutil.ignore_patterns(damage))
    with pytest.raises(ExportError, match=str(tmp_path / "1")):
        LoadedVersion(library, tmp_path / "1")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (WarmupRequest("predict", "serving_default", {"image": IMAGES[0]}), "shape"),
        (WarmupRequest("predict", "none", {"image": IMAGES[:1]}), "'none' not found"),
        (WarmupRequest("predict", "serving_default", {"images": IMAGES[:1]}), "inputs must be"),
        (WarmupRequest("regress", "classify", {"inputs": image_examples(IMAGES[:1])}), "regress"),
    ],
)
def test_a_failing_warm_up_request_refuses_the_version(
    library: ctypes.CDLL, base: Path, tmp_path: Path, request_: WarmupRequest, words: str
) -> None:
    version = tmp_path / "1"
    shutil.copytree(base / "clothes/1", version)
    good = WarmupRequest("predict", "serving_default", {"image": IMAGES[:1]})
    write_warmup(version / WARMUP_FILE, "clothes", [good, request_])
    with pytest.raises(ExportError, match=rf"request 1 of .*{words}"):
        LoadedVersion(library, version)


def test_a_damaged_warm_up_file_refuses_the_version(
    library: ctypes.CDLL, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base / "clothes/1", tmp_path / "1")
    path = tmp_path / "1" / WARMUP_FILE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ExportError, match="whole TFRecord file"):
        LoadedVersion(library, tmp_path / "1")


def test_a_constant_that_changed_after_publishing_refuses_the_version(
    library: ctypes.CDLL, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(base / "clothes/1", tmp_path / "1")
    write_checksums(tmp_path / "1")
    LoadedVersion(library, tmp_path / "1")
    graph = tmp_path / "1/saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"t-shirt", b"t-shorn"))
    with pytest.raises(ExportError, match=r"1/saved_model\.pb must have SHA-256"):
        LoadedVersion(library, tmp_path / "1")


def test_signatures_are_shown_as_the_proto_has_them(clothes: LoadedVersion) -> None:
    shown = clothes.signature_defs["serving_default"]
    assert shown["method_name"] == "tensorflow/serving/predict"
    assert {**shown["inputs"]["image"], "name": ""} == {
        "name": "",
        "dtype": "DT_UINT8",
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in ("-1", "28", "28")],
            "unknown_rank": False,
        },
    }
    assert sorted(shown["outputs"]) == ["class_id", "label", "logits", "probabilities"]
    assert "__saved_model_init_op" in clothes.signature_defs


def test_a_card_is_read_and_may_be_missing(
    library: ctypes.CDLL, clothes: LoadedVersion, tmp_path: Path
) -> None:
    card = {"model": "houses", "input": {"kind": "table"}}
    assert LoadedVersion(library, save_prices(tmp_path / "1", **card)).card == card
    assert clothes.card == {}
