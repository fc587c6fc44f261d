"""The calls of TensorFlow Serving's REST interface, in process."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.served import export_identity, export_models, loaded
from tests.support.standins import IMAGES, LABELS, answers
from tfd2l.export.expected import image_examples
from tfd2l.serve.app import answer
from tfd2l.serve.errors import RestError
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    base = export_models(tmp_path_factory.mktemp("models"))
    export_identity(base / "identity" / "7")
    with loaded(base) as models:
        (base / "clothes" / "2").write_text("a plain file fails to load")
        models.poll()
        yield models


def encoded(document: Any) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def post(models: ServedModels, target: str, document: Any) -> Any:
    return json.loads(answer(models, "POST", f"/v1/models/{target}", encoded(document)))


def get(models: ServedModels, target: str) -> Any:
    return json.loads(answer(models, "GET", f"/v1/models{target}", b""))


def refused(models: ServedModels, method: str, target: str, document: Any = None) -> RestError:
    with pytest.raises(RestError) as caught:
        answer(models, method, f"/v1/models{target}", encoded(document))
    return caught.value


def test_predict_answers_rows_with_predictions_and_columns_with_outputs(
    models: ServedModels,
) -> None:
    # 2 a - 3.4 b + 4.2
    features = [[1, 1], [0.5, -1]]
    expected = pytest.approx([2.8, 8.6])
    for document in (
        {"instances": features},
        {"instances": [{"features": row} for row in features]},
        {"instances": features, "signature_name": "serving_default", "other": "is ignored"},
    ):
        assert post(models, "linear:predict", document) == {"predictions": expected}
        assert post(models, "linear/versions/1:predict", document) == {"predictions": expected}
    for inputs in (features, {"features": features}):
        assert post(models, "linear:predict", {"inputs": inputs}) == {"outputs": expected}


def test_predict_gives_the_same_floats_as_the_load_check(
    models: ServedModels, tmp_path: Path
) -> None:
    found = post(models, "clothes:predict", {"instances": IMAGES[:3].tolist()})["predictions"]
    version = models._base / "clothes" / "1"
    [expected] = answers(version, [("serving_default", {"image": IMAGES[:3]})])
    assert isinstance(expected, dict)
    for row, prediction in enumerate(found):
        assert sorted(prediction) == ["class_id", "label", "logits", "probabilities"]
        assert prediction["class_id"] == expected["class_id"][row]
        assert prediction["label"].encode() == expected["label"][row]
        for name in ("logits", "probabilities"):
            np.testing.assert_array_equal(np.float32(prediction[name]), expected[name][row])


def test_classify_answers_labels_and_scores(models: ServedModels) -> None:
    images = [
        {"image": {"b64": base64.b64encode(image.tobytes()).decode()}} for image in IMAGES[:2]
    ]
    document = {"signature_name": "classify", "examples": images}
    results = post(models, "clothes:classify", document)["results"]
    predicted = post(models, "clothes:predict", {"instances": IMAGES[:2].tolist()})["predictions"]
    for result, prediction in zip(results, predicted, strict=True):
        assert result[0][0] == prediction["label"]
        assert sorted(label for label, _ in result) == sorted(LABELS)
        scores = [score for _, score in result]
        assert scores == sorted(prediction["probabilities"], reverse=True)


def test_a_context_is_part_of_each_example(models: ServedModels) -> None:
    image = {"image": {"b64": base64.b64encode(IMAGES[0].tobytes()).decode()}}
    common = {"signature_name": "classify", "context": image, "examples": [{}, {"other": 1}]}
    repeated = {"signature_name": "classify", "examples": [image, image]}
    found = [post(models, "clothes:classify", document) for document in (common, repeated)]
    assert found[0] == found[1]


def test_regress_answers_a_number_for_each_example(models: ServedModels) -> None:
    examples = [{"features": [1.0, 1.0]}, {"features": [0.5, -1.0]}]
    document = {"signature_name": "regress", "examples": examples}
    assert post(models, "linear:regress", document) == {"results": pytest.approx([2.8, 8.6])}


def test_serialised_examples_may_be_sent_to_predict_too(models: ServedModels) -> None:
    [example] = image_examples(IMAGES[:1])
    document = {
        "signature_name": "classify",
        "instances": [{"b64": base64.b64encode(example).decode()}],
    }
    [prediction] = post(models, "clothes:predict", document)["predictions"]
    assert sorted(prediction) == ["classes", "scores"]


def test_an_integer_is_fine_for_a_float_input_but_not_for_a_float_feature(
    models: ServedModels,
) -> None:
    assert post(models, "linear:predict", {"instances": [[1, 1]]})
    document = {"signature_name": "regress", "examples": [{"features": [1, 1]}]}
    error = refused(models, "POST", "/linear:regress", document)
    assert error.status == 400
    assert "int64" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("string", ["a", "", "ä"]),
        ("uint8", [0, 255]),
        ("int8", [-128, 127]),
        ("int16", [-(2**15), 2**15 - 1]),
        ("int32", [-(2**31), 2**31 - 1]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("uint32", [0, 2**32 - 1]),
        ("uint64", [0, 2**64 - 1]),
        ("float32", [[0.1, 1.0], [-3.5, 1e-45]]),
        ("float64", [[0.1, 1e300]]),
        ("bool", [True, False]),
    ],
)
def test_values_of_every_dtype_go_there_and_back(
    models: ServedModels, name: str, value: list[Any]
) -> None:
    document = {"signature_name": name, "inputs": value}
    assert post(models, "identity:predict", document) == {"outputs": value}
    document = {"signature_name": name, "instances": value}
    assert post(models, "identity/versions/7:predict", document) == {"predictions": value}


def test_nan_and_infinities_go_there_and_back_without_quotes(models: ServedModels) -> None:
    body = b'{"inputs": [NaN, Infinity, -1e39]}'
    text = answer(models, "POST", "/v1/models/identity:predict", body)
    assert text == b'{"outputs": [NaN, Infinity, -Infinity]}'


def test_bytes_go_there_and_back_as_base64(models: ServedModels) -> None:
    document = {"signature_name": "bytes", "instances": [{"b64": "/+8="}, {"b64": "YQ"}]}
    back = [{"b64": "/+8="}, {"b64": "YQ=="}]
    assert post(models, "identity:predict", document) == {"predictions": back}


def test_outputs_that_are_not_rows_need_a_request_by_columns(models: ServedModels) -> None:
    document: dict[str, Any] = {"signature_name": "two", "inputs": {"a": [1, 2], "b": [[3]]}}
    assert post(models, "identity:predict", document) == {"outputs": {"sum": 3.0, "b": [[3.0]]}}
    by_rows = {"signature_name": "two", "instances": [{"a": 1, "b": 2}]}
    assert refused(models, "POST", "/identity:predict", by_rows).status == 400


@pytest.mark.parametrize(
    ("target", "document", "words"),
    [
        ("/linear:predict", b"", "document is empty"),
        ("/linear:predict", b"{", "JSON Parse error"),
        ("/linear:predict", {"signature_name": "x", "inputs": [[1, 2]]}, "'x' not found"),
        ("/linear:predict", {"inputs": [1, 2]}, "hape"),
        ("/linear:predict", {"inputs": {"image": [[1, 2]]}}, "Missing named input: features"),
        ("/clothes:predict", {"instances": [[[0] * 28] * 27]}, "hape"),
        ("/clothes:predict", {"instances": [[[256] * 28] * 28]}, "from 0 to 255"),
        ("/clothes:predict", {"instances": [[[[0]] * 28] * 28] * 2}, "hape"),
        ("/linear:regress", {"examples": [{"features": [1.0, 1.0]}]}, "inputs must be"),
        ("/linear:classify", {"signature_name": "regress", "examples": [{}]}, "Expected outputs"),
        ("/linear:regress", {"signature_name": "regress", "examples": [{}]}, "features"),
        ("/linear:regress", {"signature_name": "regress", "instances": [[1, 2]]}, "examples"),
        ("/linear/labels/stable:predict", {"instances": [[1, 2]]}, "version label: stable"),
        # The JSON is read before the model is looked up.
        ("/none:predict", b"{", "JSON Parse error"),
        ("/none/labels/a%20b:regress", {"examples": [{}]}, "version label: a b"),
        (f"/linear/versions/{2**63}:predict", {"inputs": [[1, 2]]}, "to numeric"),
        (f"/linear/versions/{'9' * 5000}:predict", {"inputs": [[1, 2]]}, "to numeric"),
    ],
)
def test_bad_requests_are_400_and_say_what_is_wrong(
    models: ServedModels, target: str, document: Any, words: str
) -> None:
    error = refused(models, "POST", target, document)
    assert error.status == 400
    assert words in str(error)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/none:predict", "Latest(none)"),
        ("/clothes/versions/2:predict", "Specific(clothes, 2)"),
        ("/Linear:predict", "Latest(Linear)"),
        ("/a%20b%2Fc:predict", "Latest(a b/c)"),
        ("/a+b:predict", "Latest(a+b)"),
        ("/linear?x=1:predict", "Latest(linear?x=1)"),
        ("/linear/versions/9223372036854775807:predict", f"Specific(linear, {2**63 - 1})"),
    ],
)
def test_unknown_models_and_versions_are_404(models: ServedModels, target: str, named: str) -> None:
    error = refused(models, "POST", target, {"instances": [[1, 2]]})
    assert error.status == 404
    assert str(error) == f"Servable not found for request: {named}"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/linear:predict"),
        ("POST", "/linear"),
        ("PUT", "/linear:predict"),
        ("HEAD", "/linear"),
        ("POST", "/linear/version/1:predict"),
        ("POST", "/linear/versions/-1:regress"),
        ("POST", "/linear:predict?x=1"),
        ("POST", "/linear:Predict"),
        ("POST", "/linear:multi_inference"),
        ("POST", "/a/b:predict"),
        ("POST", "/:predict"),
        ("GET", "/linear/versions/"),
        ("GET", "/linear/metadata/x"),
    ],
)
def test_malformed_paths_and_other_methods_are_400(
    models: ServedModels, method: str, target: str
) -> None:
    error = refused(models, method, target, {"instances": [[1, 2]]})
    assert error.status == 400
    assert str(error) == f"Malformed request: {method} /v1/models{target}"


def test_letter_case_and_leading_zeros_of_the_path_do_not_matter(models: ServedModels) -> None:
    body = b'{"instances": [[1, 1]]}'
    assert answer(models, "POST", "/V1/Models/linear/VERSIONS/1:predict", body)
    assert answer(models, "POST", f"/v1/models/linear/versions/{'1'.zfill(5000)}:predict", body)


def test_the_status_of_a_model_lists_its_versions(models: ServedModels) -> None:
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    assert get(models, "/linear") == {"model_version_status": [available]}
    assert get(models, "/linear/versions/1") == {"model_version_status": [available]}
    # The server ignores a label here.
    assert get(models, "/linear/labels/stable") == {"model_version_status": [available]}
    failed, also = get(models, "/clothes")["model_version_status"]
    assert also == available
    assert (failed["version"], failed["state"]) == ("2", "END")
    assert failed["status"]["error_code"] == "UNKNOWN"
    assert "saved_model.pb" in failed["status"]["error_message"]


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("", 400, "Missing model name in request."),
        ("/none", 404, "Could not find any versions of model none"),
        ("/none/versions/3", 404, "Could not find version 3 of model none"),
        ("/linear/versions/3", 404, "Could not find version 3 of model linear"),
        ("/none/metadata", 404, "Servable not found for request: Latest(none)"),
        ("/linear/labels/x/metadata", 400, "Unrecognized servable version label: x"),
    ],
)
def test_missing_models_and_versions_have_no_status_and_no_metadata(
    models: ServedModels, target: str, status: int, text: str
) -> None:
    error = refused(models, "GET", target)
    assert (error.status, str(error)) == (status, text)


@pytest.mark.parametrize("target", ["/linear/metadata", "/linear/versions/1/metadata"])
def test_metadata_has_the_signatures_as_protos(models: ServedModels, target: str) -> None:
    found = get(models, target)
    assert found["model_spec"] == {"name": "linear", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == ["__saved_model_init_op", "regress", "serving_default"]
    features = signatures["serving_default"]["inputs"]["features"]
    assert features["dtype"] == "DT_FLOAT"
    assert [size["size"] for size in features["tensor_shape"]["dim"]] == ["-1", "2"]
    assert features["name"] == "serving_default_features:0"
