"""A loaded version: its answers and refusals, its self-test, and threads that share it."""

from __future__ import annotations

import ctypes
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.served import export_identity, export_models
from tests.support.small_models import IMAGES, LABELS, objects
from tfd2l.export.c_api import load_library
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
        ("classify", "none", "inputs", "'none' not found"),
        ("predict", "serving_default", "other", "inputs must be those"),
        ("classify", "serving_default", "inputs", "inputs must be those"),
        ("regress", "serving_default", "features", "Expected outputs of regress"),
        ("classify", "regress", "inputs", "Expected outputs of classify"),
        ("regress", "regress", "inputs", "parse"),
    ],
)
def test_a_call_that_is_not_for_the_signature_is_an_invalid_argument(
    linear: LoadedVersion, method: str, signature: str, name: str, words: str
) -> None:
    array = objects(b"no example") if name == "inputs" else np.zeros((1, 2), np.float32)
    with pytest.raises(ModelError, match=words) as caught:
        linear.call(method, signature, {name: array})
    assert caught.value.code == INVALID_ARGUMENT


@pytest.mark.parametrize("shape", [(2,), (1, 3), (1, 2, 1), ()])
def test_the_runtimes_refusal_keeps_its_code_and_words(
    linear: LoadedVersion, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ModelError, match="hape") as caught:
        linear.call("predict", "serving_default", {"features": np.zeros(shape, np.float32)})
    assert caught.value.code == INVALID_ARGUMENT


def test_strings_for_an_input_of_numbers_are_refused(library: ctypes.CDLL, tmp_path: Path) -> None:
    # Classify hands examples to whatever is called `inputs`.
    spec = tf.TensorSpec(None, tf.float32, name="inputs")
    module = tf.Module()
    module.serve = tf.function(lambda inputs: {"scores": inputs}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    version = LoadedVersion(library, tmp_path)
    with pytest.raises(ModelError) as caught:
        version.call("classify", "serving_default", {"inputs": objects(b"")})
    assert caught.value.code == INVALID_ARGUMENT


def test_an_array_of_another_dtype_is_an_invalid_argument(
    library: ctypes.CDLL, tmp_path: Path
) -> None:
    version = LoadedVersion(library, export_identity(tmp_path))
    found = version.call("predict", "int16", {"x": np.array([1, -2], np.int16)})
    np.testing.assert_array_equal(found["y"], np.array([1, -2], np.int16), strict=True)
    single = np.zeros(1, np.float32)
    with pytest.raises(ModelError) as caught:
        version.call("predict", "float16", {"x": single})
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


@pytest.mark.parametrize("model", ["clothes", "linear"])
@pytest.mark.parametrize("missing", ["variables", "variables.index"])
def test_a_copy_without_variables_is_refused_with_a_warm_up_file_and_without(
    library: ctypes.CDLL, base: Path, tmp_path: Path, model: str, missing: str
) -> None:
    # The runtime loads it, and then answers each request with an error.
    half = shutil.ignore_patterns(missing)
    shutil.copytree(base / model / "1", tmp_path / "1", ignore=half)
    with pytest.raises(ExportError, match=r"1/variables/variables\.index is missing"):
        LoadedVersion(library, tmp_path / "1")


def test_a_graph_without_variables_needs_no_file_of_them(
    library: ctypes.CDLL, tmp_path: Path
) -> None:
    export_identity(tmp_path)
    shutil.rmtree(tmp_path / "variables")
    LoadedVersion(library, tmp_path)


def test_a_version_without_checksums_or_warm_up_file_is_loaded_and_logged(
    library: ctypes.CDLL, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tfd2l")
    shutil.copytree(base / "linear/1", tmp_path / "1")
    shutil.copytree(base / "clothes/1", tmp_path / "2")
    write_checksums(tmp_path / "2")
    for name in ("1", "2"):
        LoadedVersion(library, tmp_path / name)
    # The second has both.
    start = f"{tmp_path / '1'} comes without assets.extra/"
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        f"{start}SHA256SUMS", f"{start}tf_serving_warmup_requests",
    ]  # fmt: skip


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


def test_each_thread_gets_its_own_answers(clothes: LoadedVersion) -> None:
    def labels(start: int) -> list[bytes]:
        images = IMAGES[start : start + 1 + start % 7]
        found = clothes.call("predict", "serving_default", {"image": images})
        return list(found["label"].tolist())

    starts = [*range(200)]
    alone = [labels(start) for start in starts]
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(labels, starts)] == alone


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
