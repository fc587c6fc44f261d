"""The development server in process: TensorFlow Serving's REST interface, bodies and errors."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from werkzeug.test import Client, TestResponse

from tests.support.served import export_identity, export_models, loaded
from tests.support.small_models import IMAGES, LABELS, answers
from tfd2l.export.expected import image_examples
from tfd2l.serve.app import Application
from tfd2l.serve.models import ServedModels
from tfd2l.serve.server import MAX_BODY_BYTES


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = export_models(tmp_path_factory.mktemp("models"))
    export_identity(base / "identity" / "7")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Client:
    models = loaded(base)
    (base / "clothes" / "2").write_text("a plain file fails to load")
    models.poll()
    return Client(Application(models))


def post(client: Client, target: str, document: Any) -> Any:
    response = client.post(f"/v1/models/{target}", json=document)
    assert response.status_code == 200, response.text
    assert response.content_type == "application/json"
    return json.loads(response.text)


def error_of(response: TestResponse) -> str:
    assert response.content_type == "application/json"
    document = json.loads(response.text)
    assert [*document] == ["error"]
    [line] = document["error"].splitlines()
    return str(line)


@pytest.mark.slow
def test_predict_answers_rows_with_predictions_and_columns_with_outputs(client: Client) -> None:
    # 2 a - 3.4 b + 4.2
    features = [[1, 1], [0.5, -1]]
    expected = pytest.approx([2.8, 8.6])
    for document in (
        {"instances": features},
        {"instances": [{"features": row} for row in features]},
        {"instances": features, "signature_name": "serving_default", "other": "is ignored"},
    ):
        assert post(client, "linear:predict", document) == {"predictions": expected}
        assert post(client, "linear/versions/01:predict", document) == {"predictions": expected}
    for inputs in (features, {"features": features}):
        assert post(client, "linear:predict", {"inputs": inputs}) == {"outputs": expected}


def test_predict_gives_the_same_floats_as_the_load_check(client: Client, base: Path) -> None:
    found = post(client, "clothes:predict", {"instances": IMAGES[:3].tolist()})["predictions"]
    [expected] = answers(base / "clothes/1", [("serving_default", {"image": IMAGES[:3]})])
    assert isinstance(expected, dict)
    for row, prediction in enumerate(found):
        assert sorted(prediction) == ["class_id", "label", "logits", "probabilities"]
        assert prediction["class_id"] == expected["class_id"][row]
        assert prediction["label"].encode() == expected["label"][row]
        for name in ("logits", "probabilities"):
            np.testing.assert_array_equal(np.float32(prediction[name]), expected[name][row])


def test_classify_answers_labels_and_scores_also_with_a_context(client: Client) -> None:
    images = [
        {"image": {"b64": base64.b64encode(image.tobytes()).decode()}} for image in IMAGES[:2]
    ]
    document: dict[str, Any] = {"signature_name": "classify", "examples": images}
    results = post(client, "clothes:classify", document)["results"]
    predicted = post(client, "clothes:predict", {"instances": IMAGES[:2].tolist()})["predictions"]
    for result, prediction in zip(results, predicted, strict=True):
        assert result[0][0] == prediction["label"]
        assert sorted(label for label, _ in result) == sorted(LABELS)
        scores = [score for _, score in result]
        assert scores == sorted(prediction["probabilities"], reverse=True)
    in_context = {"context": images[0], "examples": [{}, {"other": 1}]}
    document = {"signature_name": "classify", **in_context}
    assert post(client, "clothes:classify", document)["results"] == [results[0]] * 2


def test_regress_answers_a_number_for_each_example(client: Client) -> None:
    examples = [{"features": [1.0, 1.0]}, {"features": [0.5, -1.0]}]
    document = {"signature_name": "regress", "examples": examples}
    assert post(client, "linear:regress", document) == {"results": pytest.approx([2.8, 8.6])}


def test_serialised_examples_may_be_sent_to_predict_too(client: Client) -> None:
    [example] = image_examples(IMAGES[:1])
    text = base64.b64encode(example).decode()
    document = {"signature_name": "classify", "instances": [{"b64": text}]}
    [prediction] = post(client, "clothes:predict", document)["predictions"]
    assert sorted(prediction) == ["classes", "scores"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("string", ["a", "", "ä"]),
        ("bytes", [{"b64": "/+8="}, {"b64": "YQ=="}]),
        *((f"int{n}", [-(2 ** (n - 1)), 2 ** (n - 1) - 1]) for n in (8, 16, 32, 64)),
        *((f"uint{n}", [0, 2**n - 1]) for n in (8, 32, 64)),
        ("float32", [[0.1, 1.0], [-3.5, 1e-45]]),
        ("float32", [float("inf"), float("-inf")]),
        ("float64", [[0.1, 1e300]]),
        ("bool", [True, False]),
    ],
)
def test_values_of_every_dtype_go_there_and_back(client: Client, name: str, value: Any) -> None:
    document = {"signature_name": name, "inputs": value}
    assert post(client, "identity:predict", document) == {"outputs": value}
    document = {"signature_name": name, "instances": value}
    assert post(client, "identity/versions/7:predict", document) == {"predictions": value}


def test_outputs_that_are_not_rows_need_a_request_by_columns(client: Client) -> None:
    document: dict[str, Any] = {"signature_name": "two", "inputs": {"a": [1, 2], "b": [[3]]}}
    assert post(client, "identity:predict", document) == {"outputs": {"sum": 3.0, "b": [[3.0]]}}
    by_rows = {"signature_name": "two", "instances": [{"a": 1, "b": 2}]}
    assert client.post("/v1/models/identity:predict", json=by_rows).status_code == 400


@pytest.mark.parametrize(
    ("target", "document", "words"),
    [
        ("linear:predict", b"", "JSON Parse error"),
        ("linear:predict", b"{", "JSON Parse error"),
        ("linear:predict", {"signature_name": "x", "inputs": [[1, 2]]}, "'x' not found"),
        ("linear:predict", {"inputs": [1, 2]}, "hape"),
        ("linear:predict", {"inputs": {"image": [[1, 2]]}}, "the keys ['features']"),
        ("clothes:predict", {"instances": [[[0] * 28] * 27]}, "hape"),
        ("clothes:predict", {"instances": [[[256] * 28] * 28]}, "256 out of bounds for uint8"),
        ("clothes:predict", {"instances": [[[[0]] * 28] * 28] * 2}, "hape"),
        ("linear:regress", {"examples": [{"features": [1.0, 1.0]}]}, "inputs must be"),
        ("linear:regress", {"signature_name": "regress", "examples": [{"features": [1, 1]}]},
         "int64"),
        ("linear:classify", {"signature_name": "regress", "examples": [{}]}, "Expected outputs"),
        ("linear:regress", {"signature_name": "regress", "examples": [{}]}, "features"),
        ("linear:regress", {"signature_name": "regress", "instances": [[1, 2]]}, "examples"),
        ("linear/labels/stable:predict", {"instances": [[1, 2]]}, "version label: stable"),
        # The JSON is read before the model is looked up.
        ("none:predict", b"{", "JSON Parse error"),
        ("none/labels/a%20b:regress", {"examples": [{}]}, "version label: a b"),
    ],
)  # fmt: skip
def test_bad_requests_are_400_and_say_what_is_wrong(
    client: Client, target: str, document: Any, words: str
) -> None:
    body = document if isinstance(document, bytes) else json.dumps(document)
    response = client.post(f"/v1/models/{target}", data=body)
    assert response.status_code == 400
    assert words in error_of(response)


@pytest.mark.parametrize(
    ("method", "target", "status", "text"),
    [
        ("POST", "none:predict", 404, "Servable not found for request: Latest(none)"),
        ("POST", "Linear:predict", 404, "Servable not found for request: Latest(Linear)"),
        ("POST", "a+%20b:predict", 404, "Servable not found for request: Latest(a+ b)"),
        ("POST", "clothes/versions/2:predict", 404,
         "Servable not found for request: Specific(clothes, 2)"),
        ("POST", f"linear/versions/{2**63 - 1}:predict", 404,
         f"Servable not found for request: Specific(linear, {2**63 - 1})"),
        ("GET", "none", 404, "Could not find any versions of model none"),
        ("GET", "none/versions/3", 404, "Could not find version 3 of model none"),
        ("GET", "linear/versions/3", 404, "Could not find version 3 of model linear"),
        ("GET", "none/metadata", 404, "Servable not found for request: Latest(none)"),
        ("GET", "linear/labels/x/metadata", 400, "Unrecognized servable version label: x"),
    ],
)  # fmt: skip
def test_models_versions_and_labels_that_are_not_served_are_named(
    client: Client, method: str, target: str, status: int, text: str
) -> None:
    response = client.open(f"/v1/models/{target}", method=method, json={"instances": [[1, 2]]})
    assert response.status_code == status
    assert error_of(response) == text


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "models/linear:predict"),
        ("POST", "models/linear"),
        ("PUT", "models/linear:predict"),
        ("PATCH", "models/linear"),
        ("OPTIONS", "models/linear"),
        ("POST", "models/linear/version/1:predict"),
        ("POST", "models/linear/versions/-1:regress"),
        ("POST", f"models/linear/versions/{2**63}:predict"),
        ("POST", f"models/linear/versions/{'9' * 100}:predict"),
        ("POST", "models/linear:Predict"),
        ("POST", "models/linear:multi_inference"),
        ("POST", "models/a/b:predict"),
        ("POST", "models/:predict"),
        ("GET", "models"),
        ("GET", "models/linear/versions/"),
        ("GET", "models/linear/metadata/x"),
        ("GET", "foo"),
    ],
)
def test_malformed_paths_and_other_methods_are_400(
    client: Client, method: str, target: str
) -> None:
    response = client.open(f"/v1/{target}", method=method, json={"instances": [[1, 2]]})
    assert response.status_code == 400
    assert error_of(response) == f"Malformed request: {method} /v1/{target}"


def test_numbers_of_thousands_of_digits_are_400(client: Client) -> None:
    for rest in ("", "/metadata"):
        response = client.get(f"/v1/models/linear/versions/{'9' * 5000}{rest}")
        assert response.status_code == 400
        assert error_of(response).startswith("Malformed request: GET /v1/models/linear/versions/99")


def test_a_head_request_is_400_without_a_text(client: Client) -> None:
    response = client.head("/v1/models/linear")
    assert (response.status_code, response.get_data()) == (400, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1", 404), ("GET", "/v2/models", 404), ("GET", "/index.html", 404),
     ("GET", "/monitoring/prometheus/metrics", 404), ("POST", "/page/models", 405)],
)  # fmt: skip
def test_other_paths_are_404_or_405_with_a_json_text(
    client: Client, method: str, path: str, status: int
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert error_of(response)


def test_the_status_of_a_model_lists_its_versions(client: Client) -> None:
    available = {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    # The server ignores a label here.
    for target in ("linear", "linear/versions/1", "linear/labels/stable"):
        response = client.get(f"/v1/models/{target}")
        assert response.json == {"model_version_status": [available]}
    found: Any = client.get("/v1/models/clothes").json
    failed, also = found["model_version_status"]
    assert also == available
    assert (failed["version"], failed["state"]) == ("2", "END")
    assert failed["status"]["error_code"] == "UNKNOWN"
    assert "saved_model.pb" in failed["status"]["error_message"]


@pytest.mark.parametrize("target", ["linear/metadata", "linear/versions/1/metadata"])
def test_metadata_has_the_signatures_as_protos(client: Client, target: str) -> None:
    found: Any = client.get(f"/v1/models/{target}").json
    assert found["model_spec"] == {"name": "linear", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == ["__saved_model_init_op", "regress", "serving_default"]
    features = signatures["serving_default"]["inputs"]["features"]
    assert features["dtype"] == "DT_FLOAT"
    assert [size["size"] for size in features["tensor_shape"]["dim"]] == ["-1", "2"]
    assert features["name"] == "serving_default_features:0"


def test_the_content_type_does_not_matter_and_an_overlong_body_is_413(client: Client) -> None:
    body = b'{"instances": [[1, 1]]}'
    exact = body + b" " * (MAX_BODY_BYTES - len(body))
    kind = "application/x-www-form-urlencoded"
    response = client.post("/v1/models/linear:predict", data=exact, content_type=kind)
    assert response.status_code == 200
    response = client.post("/v1/models/linear:predict", data=exact + b" ")
    assert response.status_code == 413
    assert f"at most {MAX_BODY_BYTES} bytes" in error_of(response)
    # As many images as the server takes fit, with the spaces that json.dumps puts between.
    assert len(json.dumps({"instances": [[[255] * 28] * 28] * 1024})) < MAX_BODY_BYTES


def test_a_bug_is_logged_and_answered_with_500(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: ServedModels, name: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ServedModels, "statuses", fail)
    response = client.get("/v1/models/linear")
    assert response.status_code == 500
    assert "log" in error_of(response)
    [record] = caplog.records
    assert record.exc_info is not None


def test_health_says_when_the_directory_is_not_followed(tmp_path: Path) -> None:
    models = loaded(export_models(tmp_path))
    client = Client(Application(models))
    assert (client.get("/health").status_code, client.get("/health").json) == (
        200,
        {"problems": []},
    )
    (tmp_path / "models.config").write_text("no proto")
    models.poll()
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json is not None
    assert "models.config is not followed" in answer.json["problems"][0]
