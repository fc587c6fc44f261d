"""Thousands of odd requests: each gets a status that independent rules allow."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from tests.support.rest_rules import statuses
from tests.support.served import client_of, export_models, loaded
from tests.support.standins import IMAGES


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with loaded(export_models(tmp_path_factory.mktemp("models"))) as models:
        yield client_of(models)


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Odd parts, so few that other parts are reached too."""
    return st.integers(0, 4).flatmap(lambda number: odd if number == 0 else good)


MODELS = mostly(
    st.sampled_from(["linear", "clothes"]), st.sampled_from(["none", "a%2Fb", "%", "%ff", "é", ""])
)
NUMBERS = st.sampled_from(["1", "01", "2", "-1", "x", "9" * 18, "9" * 30, ""])
VERSIONS = mostly(
    st.sampled_from(["", "/versions/1"]),
    st.builds("/{}/{}".format, st.sampled_from(["versions", "labels", "version"]), NUMBERS),
)
ENDS = mostly(
    st.sampled_from([":predict", ":classify", ":regress"]),
    st.sampled_from([":Predict", ":", "/metadata", "", "?a=1", "/", "#x"]),
)
PATHS = mostly(
    st.builds("/v1/models/{}{}{}".format, MODELS, VERSIONS, ENDS),
    st.sampled_from(["/v1", "/v1/", "/V1/x", "/v1/models", "/v1/models/linear", "//v1/models"]),
)
METHODS = mostly(
    st.just("POST"), st.sampled_from(["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-300, 300)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([{"b64": "AAAA"}, {"b64": "?"}, {"b64": None}])
)
FEATURES = st.lists(st.floats(width=32) | st.integers(-9, 9), min_size=2, max_size=2)
# By name, as Hypothesis shows what it drew.
LARGE: dict[str, Any] = {
    "one image": IMAGES[0].tolist(),
    "two images": IMAGES[:2].tolist(),
    "a row too few": [[0] * 28] * 27,
    "too light": [[256] * 28] * 28,
    "bytes": {"b64": base64.b64encode(IMAGES[0].tobytes()).decode()},
}
ODD = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["features", "image", "inputs", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
VALUES = mostly(FEATURES | st.sampled_from([*LARGE]), ODD)
NAMED = st.dictionaries(st.sampled_from(["features", "image", "inputs"]), VALUES, max_size=2)
ROWS = mostly(st.lists(VALUES | NAMED, max_size=3), ODD)
SIGNATURES = mostly(
    st.sampled_from(["serving_default", "regress", "classify", ""]), st.just("x") | LEAVES
)


def document_of(signature: Any, key: str, value: Any, other: dict[str, Any]) -> dict[str, Any]:
    return {"signature_name": signature, key: value} | other


DOCUMENTS = mostly(
    st.builds(
        document_of,
        SIGNATURES,
        st.sampled_from(["instances", "inputs", "examples"]),
        ROWS | NAMED,
        mostly(st.just({}), st.dictionaries(st.sampled_from(["context", "inputs", "x"]), ROWS)),
    ),
    ODD,
)


def encoded(document: Any) -> bytes:
    """JSON, with images in the place of their names."""
    text = json.dumps(document)
    for name, value in LARGE.items():
        text = text.replace(json.dumps(name), json.dumps(value))
    return text.encode()


TEXTS = mostly(
    DOCUMENTS.map(encoded),
    st.binary(max_size=50)
    | st.text(max_size=50).map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """JSON, nearly JSON, or anything."""
    text: bytes = draw(TEXTS)
    if text and draw(st.integers(0, 4)) == 0:
        start = draw(st.integers(0, len(text) - 1))
        text = text[:start] + draw(st.binary(max_size=3)) + text[start + draw(st.integers(0, 3)) :]
    return text


# By model, call and signature: rows that are right.
ROWS_OF: dict[tuple[str, str, str], st.SearchStrategy[Any]] = {
    ("linear", "predict", "serving_default"): FEATURES,
    ("linear", "regress", "regress"): st.fixed_dictionaries(
        {"features": st.lists(st.floats(width=32), min_size=2, max_size=2)}
    ),
    ("clothes", "predict", "serving_default"): st.just("one image"),
    ("clothes", "classify", "classify"): st.just({"image": "bytes"}),
}


@st.composite
def nearly_right(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A request with one part that may be wrong."""
    (model, call, signature), rows_of = draw(st.sampled_from([*ROWS_OF.items()]))
    version, rows = "", draw(st.lists(rows_of, min_size=1, max_size=3))
    key = "examples" if call != "predict" else draw(st.sampled_from(["instances", "inputs"]))
    match draw(st.sampled_from(["nothing", "model", "version", "signature", "key", "row", "call"])):
        case "model":
            model = draw(MODELS)
        case "version":
            version = draw(VERSIONS)
        case "signature":
            signature = draw(SIGNATURES)
        case "key":
            key = draw(st.sampled_from(["instances", "inputs", "examples", "x"]))
        case "row":
            rows[0] = draw(VALUES | st.lists(rows_of, max_size=2))
        case "call":
            call = draw(st.sampled_from(["predict", "classify", "regress"]))
    body = encoded({"signature_name": signature, key: rows})
    return "POST", f"/v1/models/{model}{version}:{call}", body


def status_of(client: Client, method: str, path: str, body: bytes) -> int:
    """The status of an answer, whose body is JSON as it should be."""
    target = {"REQUEST_URI": path.encode().decode("latin-1"), "PATH_INFO": "/nowhere"}
    response = client.open("/", method=method, data=body, environ_overrides=target)
    assert response.content_type == "application/json"
    if method != "HEAD":
        document = json.loads(response.get_data())
        assert response.status_code == 200 or [*document] == ["error"]
    return response.status_code


@pytest.mark.slow
@hypothesis.settings(max_examples=1000)
@given(st.tuples(METHODS, PATHS, bodies()) | nearly_right())
def test_any_request_is_answered_with_json_and_the_status_that_the_rules_give_it(
    client: Client, request_: tuple[str, str, bytes]
) -> None:
    assert status_of(client, *request_) in statuses(*request_)


RIGHT = [
    ("linear:predict", {"instances": [[1, 2.5]]}),
    ("linear/versions/1:predict", {"inputs": {"features": [[1, 2], [3, 4]]}}),
    ("clothes:predict", {"instances": IMAGES[:2].tolist()}),
    ("linear:regress", {"signature_name": "regress", "examples": [{"features": [1.0, 2.0]}]}),
]
WRONG: list[tuple[str, Any, int]] = [
    ("none:predict", {"instances": [[1, 2]]}, 404),
    ("linear/versions/2:predict", {"instances": [[1, 2]]}, 404),
    ("linear/versions/2:regress", RIGHT[3][1], 404),
    ("none:predict", [], 400),
    ("linear:predict", {"instances": [[1, 2]], "signature_name": "x"}, 400),
    ("linear:predict", {"instances": [[1, 2, 3]]}, 400),
    ("linear:predict", {"instances": [1, 2]}, 400),
    ("linear:predict", {"instances": [[True, 2]]}, 400),
    ("clothes:predict", {"instances": [[[0.5] * 28] * 28]}, 400),
    ("clothes:predict", {"instances": [LARGE["too light"]]}, 400),
    ("clothes:predict", {"instances": [[[0] * 28] * 56]}, 400),
    ("clothes:predict", {"instances": [[[[0]] * 28] * 28]}, 400),
]


@pytest.mark.parametrize(("target", "document"), RIGHT)
def test_the_rules_allow_200_for_what_is_right(client: Client, target: str, document: Any) -> None:
    path, body = f"/v1/models/{target}", encoded(document)
    assert 200 in statuses("POST", path, body)
    assert status_of(client, "POST", path, body) == 200


@pytest.mark.parametrize(("target", "document", "status"), WRONG)
def test_the_rules_allow_one_status_for_what_is_wrong(
    client: Client, target: str, document: Any, status: int
) -> None:
    path, body = f"/v1/models/{target}", encoded(document)
    assert statuses("POST", path, body) == {status}
    assert status_of(client, "POST", path, body) == status
