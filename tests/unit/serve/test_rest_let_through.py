"""What the stand-in takes silently because TensorFlow Serving does, and tells in its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.served import export_models
from tfd2l.deploy.rendering import Settings, configuration
from tfd2l.serve.models import ServedModels
from tfd2l.serve.requests import predict_request
from tfd2l.serve.rest_api import answer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    models = ServedModels(export_models(tmp_path_factory.mktemp("models")))
    models.poll()
    yield models
    models.close()


def post(models: ServedModels, target: str, document: Any) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return json.loads(answer(models, "POST", f"/v1/models/{target}", body))


@pytest.mark.parametrize(
    ("value", "dtype", "taken"),
    [
        (256, "uint8", 0),
        (-1, "uint8", 255),
        (300, "int8", 44),
        (-129, "int8", 127),
        (2**31 - 1, "uint8", 255),
        (40_000, "int16", -25_536),
    ],
)
def test_small_integers_wrap_as_in_the_server_and_it_is_told(
    value: int, dtype: str, taken: int
) -> None:
    request = predict_request({"instances": [[1, 2], [3, value]]}, {"image": dtype})
    np.testing.assert_array_equal(request.inputs["image"], np.array([[1, 2], [3, taken]], dtype))
    [line] = request.let_through
    assert "input 'image'" in line
    assert f"{dtype}, {np.iinfo(dtype).min} to {np.iinfo(dtype).max}" in line
    assert "1 of its values" in line
    assert f"{value} at [1][1] was taken as {taken}" in line


def test_what_is_not_finite_is_taken_as_in_the_server_and_it_is_told() -> None:
    nan, inf = float("nan"), float("inf")
    request = predict_request({"instances": [[1.0, 2.0], [nan, -inf]]}, {"x": "float32"})
    np.testing.assert_array_equal(request.inputs["x"], np.array([[1, 2], [nan, -inf]], np.float32))
    assert request.let_through == (
        "input 'x' has 2 values that are not finite, the first of them nan at [1][0]",
    )
    assert predict_request({"inputs": [3e38]}, {"x": "float32"}).let_through == ()


def test_columns_with_other_names_are_ignored_as_in_the_server_and_it_is_told() -> None:
    request = predict_request({"inputs": {"x": [1], "y": [[2], 3]}}, {"x": "float32"})
    assert request.inputs["x"].tolist() == [1]
    assert request.let_through == ("'inputs' has \"y\", which is no input and is ignored",)


def test_values_that_wrap_are_answered_and_logged(
    models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.zeros((28, 28), int)
    right = post(models, "clothes:predict", {"instances": [image.tolist()]})
    image[3, 4], image[5, 6] = 256, -256
    assert post(models, "clothes:predict", {"instances": [image.tolist()]}) == right
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "clothes/1" in record.message
    assert "2 of its values are not: 256 at [0][3][4] was taken as 0" in record.message


def test_what_is_no_number_is_answered_and_logged(
    models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    # 2 NaN - 3.4 + 4.2
    assert np.isnan(post(models, "linear:predict", b'{"instances":[[NaN,1.0]]}')["predictions"])
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.message.startswith("linear/1, signature serving_default: let through, as Tens")
    assert record.message.endswith("the first of them nan at [0][0]")
    caplog.clear()
    body = b'{"signature_name": "regress", "examples": [{"features": [1.0, -Infinity]}]}'
    # 2 + 3.4 * infinity
    assert post(models, "linear:regress", body) == {"results": [float("inf")]}
    [record] = caplog.records
    assert record.message.endswith("1 values of features are not finite, the first is -inf")


def test_more_rows_than_the_deployed_server_takes_are_answered_and_logged(
    models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    settings = configuration([], Settings())["batching_parameters.txt"]
    assert "max_batch_size { value: 1024 }" in settings
    most = [[1, 1]] * 1024
    assert len(post(models, "linear:predict", {"instances": most})["predictions"]) == 1024
    assert caplog.records == []
    example = {"features": [1.0, 1.0]}
    for target, document in [
        ("linear:predict", {"inputs": [*most, [1, 1]]}),
        ("linear:regress", {"signature_name": "regress", "examples": [example] * 1025}),
    ]:
        [(_, found)] = post(models, target, document).items()
        assert len(found) == 1025
        [record] = caplog.records
        assert "batching_parameters.txt would answer with 400: 1025 rows" in record.message
        caplog.clear()
