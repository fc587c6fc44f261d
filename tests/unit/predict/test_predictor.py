"""Batches and checks of answers, with a model that can be made to answer anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.rest_server import LABELS, Softmax
from tfd2l import deploy
from tfd2l.export.signature_types import Signature, TensorSpec
from tfd2l.predict.answers import ServingError
from tfd2l.predict.predictor import MAX_EXAMPLES, Inputs, Outputs, Predictor, signature_inputs

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 5, 6)).astype(np.uint8)
UINT8 = TensorSpec("image:0", "uint8", (None, 5, 6))


class Here(Predictor):
    """Answers with NumPy, or with a given answer."""

    def __init__(self, batch_size: int = 256, answer: Any = None) -> None:
        super().__init__(batch_size)
        self.inputs: dict[str, TensorSpec] = {"image": UINT8}
        self.answer, self.batches, self.looked = answer, [0], 0
        self.model = Softmax(5, 6)

    def __str__(self) -> str:
        return "model 'here'"

    def metadata(self) -> dict[str, Signature]:
        self.looked += 1
        return {"serving_default": Signature(self.inputs, {})}

    def _query(self, signature: str, inputs: Inputs) -> Outputs:
        [images] = inputs.values()
        self.batches.append(len(images))
        if self.answer is not None:
            outputs: Outputs = self.answer
            return outputs
        outputs = self.model(images)
        if signature == "serving_default":
            return outputs
        order = np.argsort(-outputs["probabilities"])
        scores = np.take_along_axis(outputs["probabilities"], order, axis=1)
        encoded = np.array([label.encode() for label in LABELS], np.object_)
        return {"classes": encoded[order], "scores": scores}


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_answers_do_not_depend_on_the_batches(batch_size: int) -> None:
    here = Here(batch_size)
    found, expected = here.predict(IMAGES), here.model(IMAGES)
    np.testing.assert_allclose(found.logits, expected["logits"], rtol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected["probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(found.class_id, expected["class_id"])
    np.testing.assert_array_equal(found.label, expected["label"])
    assert [found.logits.dtype, found.class_id.dtype] == ["float32", "int64"]
    assert max(here.batches) <= batch_size
    assert sum(here.batches) == 7
    assert here.looked == 1
    classified = here.classify(IMAGES)
    assert classified.classes[:, 0].tolist() == [LABELS[class_id] for class_id in found.class_id]
    np.testing.assert_allclose(classified.scores[:, 0], found.probabilities.max(axis=1))
    assert len(classified) == len(found) == 7


def test_one_image_gets_an_answer_for_one() -> None:
    found = Here().predict(IMAGES[2])
    assert found.logits.shape == (1, 4)
    assert len(found) == 1


@pytest.mark.parametrize("batch_size", [0, 1.5, 1025])
def test_a_batch_size_out_of_range_is_refused(batch_size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1 to 1024; got "):
        Here(batch_size)


def test_a_request_has_as_many_images_as_a_server_takes_that_batches() -> None:
    template = Path(deploy.__file__).with_name("templates") / "batching_parameters.txt"
    assert f"max_batch_size {{ value: {MAX_EXAMPLES} }}" in template.read_text(encoding="utf-8")
    here = Here(MAX_EXAMPLES)
    here.predict(np.repeat(IMAGES, 300, axis=0))
    # 2,100 images.
    assert here.batches == [0, 1024, 1024, 52]


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"picture": UINT8},
        {"image": UINT8, "more": UINT8},
        {"image": TensorSpec("image:0", "float32", (None, 5, 6))},
        {"image": TensorSpec("image:0", "uint8", (None, 5))},
        {"image": TensorSpec("image:0", "uint8", (None, 5, 6, 1, 1))},
        {"features": TensorSpec("features:0", "float64", (None, 2))},
        {"rooms": TensorSpec("rooms:0", "float32", (None, 2))},
        {"image": TensorSpec("image:0", "uint8", None)},
    ],
)
def test_a_model_that_takes_something_else_is_refused(inputs: dict[str, TensorSpec]) -> None:
    here = Here()
    here.inputs = inputs
    with pytest.raises(ServingError, match="must have a signature 'serving_default' with the one"):
        here.predict(IMAGES)
    assert here.batches == [0]


def test_a_model_may_take_images_of_any_height() -> None:
    here = Here()
    here.inputs = {"image": TensorSpec("image:0", "uint8", (None, None, 6))}
    assert here.image_shape() == (None, 6)
    assert len(here.predict(IMAGES)) == 7


def good() -> dict[str, Any]:
    """A correct answer for two images."""
    return {
        "logits": [[1, 2.5], [3, 4]],
        "probabilities": [[0.25, 0.75], [0, 1]],
        "class_id": [1, 1],
        "label": ["ú", "b"],
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": None}, r"'label' of rank 1 for 2 examples; got an array of shape \(\)"),
    ({"label": ["b"]}, r"'label' .*; got an array of shape \(1,\)"),
    ({"class_id": [0.5, 1]}, "'class_id' .*; got Cannot cast array data from .*float64"),
    ({"logits": [[1, 2], [3]]}, "'logits' .*; got .*inhomogeneous shape"),
    ({"logits": [["1", "2"], ["3", "4"]]}, "'logits' .*; got Cannot cast"),
    ({"logits": [1, 2]}, r"'logits' .*; got an array of shape \(2,\)"),
    ({"probabilities": [[0.2, 1.2], [0, 1]]}, "'probabilities' .*; got probabilities outside of"),
    ({"probabilities": [[float("nan"), 1], [0, 1]]}, "'probabilities' .*; got .* outside of"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_an_answer_of_the_wrong_form_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError, match=rf"the answer of model 'here' must have .*{message}"):
        Here(answer=good() | change).predict(IMAGES[:2])


def test_an_answer_without_an_output_is_refused() -> None:
    with pytest.raises(ServingError, match=r"output 'logits' .*; got the outputs \['label'\]"):
        Here(answer={"label": ["b", "b"]}).predict(IMAGES[:2])


def test_correct_answers_with_either_kind_of_string_are_accepted() -> None:
    as_bytes = np.array(["ú".encode(), b"b"], np.object_)
    for answer in (good(), good() | {"label": as_bytes}):
        found = Here(answer=answer).predict(IMAGES[:2])
        assert found.label.tolist() == ["ú", "b"]
    np.testing.assert_array_equal(found.probabilities, [[0.25, 0.75], [0, 1]])


def test_after_an_error_the_metadata_are_read_again() -> None:
    here = Here(answer={})
    for _ in range(2):
        with pytest.raises(ServingError):
            here.predict(IMAGES)
    assert here.looked == 2


def test_examples_hold_the_raw_pixels_row_by_row() -> None:
    from tensorflow.core.example import example_pb2

    found = signature_inputs("classify", {"image": IMAGES})
    assert [*found] == ["inputs"]
    for image, encoded in zip(IMAGES, found["inputs"], strict=True):
        example = example_pb2.Example.FromString(encoded)
        assert [*example.features.feature] == ["image"]
        assert example.features.feature["image"].bytes_list.value == [image.tobytes()]
