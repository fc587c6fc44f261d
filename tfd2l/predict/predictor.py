"""What all ways to a served classifier share: images checked, sent in batches, answers checked.

A `Predictor` is asked over REST (`tfd2l.serving.Client`), over gRPC (`tfd2l.grpc_client`) or in
this process (`tfd2l.serving.LocalModel`). TensorFlow is not imported.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import whole_number
from tfd2l.predict.answers import (
    Classification,
    Predictions,
    ServingError,
    Signature,
    check_images,
    printable,
)

__all__ = [
    "CLASSIFY",
    "CONTRACT",
    "MOST_IMAGES",
    "PREDICT",
    "Outputs",
    "Predictor",
    "encode_examples",
]

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Any]
# What the deployed configuration takes: max_batch_size in batching_parameters.txt.
MOST_IMAGES = 1024
# Rounding in float32 and in JSON may leave a probability this far outside of [0, 1].
ROUNDING = 1e-4
PREDICT, CLASSIFY = "serving_default", "classify"
CONTRACT = "Export it by tfd2l.export.export_classifier, or as savedmodels/README.md says."


Answer = TypeVar("Answer", Predictions, Classification)


class Predictor(ABC):
    """A classifier somewhere: checks images, asks in batches, checks and joins the answers."""

    def __init__(self, batch_size: int) -> None:
        """Raises ValueError: `batch_size` is not a whole number from 1 to `MOST_IMAGES`."""
        hint = "It is of a request; more images are sent in several. 256 make about 1 MB."
        self._batch_size = whole_number("batch_size", batch_size, maximum=MOST_IMAGES, hint=hint)
        self._signatures: Mapping[str, Signature] | None = None

    def predict(self, images: npt.ArrayLike) -> Predictions:
        """Classify raw images.

        Args:
            images: (n, height, width), or (height, width) for one; integers in 0..255.

        Raises:
            ServingError: the images are no such thing, which is found before anything is sent; or
                the model can't be reached, refuses, or gives an answer of the wrong form.
        """
        return self._in_batches(images, PREDICT, self._to_predictions)

    def classify(self, images: npt.ArrayLike) -> Classification:
        """Labels and probabilities of raw images, the likeliest first.

        Args:
            images: as `predict`.

        Raises:
            ServingError: as `predict`.
        """
        return self._in_batches(images, CLASSIFY, self._to_classification)

    def image_shape(self) -> tuple[int | None, int | None]:
        """Height and width of the images that the model takes, in pixels; None where any goes.

        Raises:
            ServingError: the model can't be reached, or is no classifier of grey images.
        """
        if self._signatures is None:
            self._signatures = self.metadata()
        signature = self._signatures.get(PREDICT)
        inputs = {} if signature is None else {**signature.inputs}
        image = inputs.get("image")
        if len(inputs) == 1 and image is not None and image.dtype == "uint8":
            if image.shape is None:
                return (None, None)
            if len(image.shape) == 3:
                return image.shape[1:]
        raise ServingError(
            f"{self} must have a signature {PREDICT!r} with the one input 'image', uint8 of shape "
            f"(n, height, width); it has {inputs or 'no such signature'}. {CONTRACT}"
        )

    @abstractmethod
    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name."""

    @abstractmethod
    def __str__(self) -> str:
        """Which model it is and where, for errors."""

    @abstractmethod
    def _ask(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        """A signature's outputs for (n, height, width) checked images, n at most `batch_size`."""

    def _in_batches(
        self, images: npt.ArrayLike, signature: str, convert: Callable[[Outputs, int], Answer]
    ) -> Answer:
        checked = check_images(images, self.image_shape())
        parts = []
        for batch in self._batches(checked):
            try:
                parts.append(convert(self._ask(signature, batch), len(batch)))
            except ServingError:
                # Perhaps another model is there by now.
                self._signatures = None
                raise
        fields = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(parts[0])
        }
        return type(parts[0])(**fields)

    def _batches(self, images: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
        for start in range(0, len(images), self._batch_size):
            yield images[start : start + self._batch_size]

    def _to_predictions(self, outputs: Outputs, n: int) -> Predictions:
        logits = self._numbers(outputs, "logits", n)
        probabilities = self._numbers(outputs, "probabilities", n)
        class_id, label = self._output(outputs, "class_id"), self._texts(outputs, "label", (n,))
        q = probabilities.shape[1]
        self._must(logits.shape == (n, q), "logits and probabilities of one shape", logits.shape)
        self._must_be_probabilities(probabilities)
        whole = class_id.shape == (n,) and class_id.dtype.kind in "iu"
        self._must(whole, f"'class_id' with {n} whole numbers", class_id)
        self._must(bool(((class_id >= 0) & (class_id < q)).all()), f"ids in 0..{q - 1}", class_id)
        return Predictions(logits, probabilities, class_id.astype(np.int64), label)

    def _to_classification(self, outputs: Outputs, n: int) -> Classification:
        scores = self._numbers(outputs, "scores", n)
        self._must_be_probabilities(scores)
        return Classification(self._texts(outputs, "classes", scores.shape), scores)

    def _numbers(self, outputs: Outputs, name: str, n: int) -> npt.NDArray[np.float32]:
        """An output of n rows of numbers."""
        values = self._output(outputs, name)
        fits = values.ndim == 2 and len(values) == n and values.shape[1] > 0
        rule = f"{name!r} with {n} rows of numbers"
        self._must(fits and values.dtype.kind in "fiu", rule, values)
        # Beyond float32 there is infinity; of probabilities that is refused below.
        with np.errstate(over="ignore"):
            return values.astype(np.float32)

    def _texts(self, outputs: Outputs, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.str_]:
        """An output of strings, which TensorFlow gives as bytes."""
        values = self._output(outputs, name)
        texts = [
            text.decode(errors="replace") if isinstance(text, bytes) else text
            for text in values.ravel().tolist()
        ]
        fits = values.shape == shape and all(isinstance(text, str) for text in texts)
        self._must(fits, f"{name!r} with strings of shape {shape}", values)
        return np.array(texts, np.str_).reshape(shape)

    def _output(self, outputs: Outputs, name: str) -> Array:
        self._must(name in outputs, f"an output {name!r}", sorted(outputs))
        try:
            return np.asarray(outputs[name])
        except (ValueError, OverflowError) as error:
            # Rows of different lengths, or lists in more levels than an array has axes.
            self._must(False, f"{name!r} as an array", str(error))
            raise

    def _must_be_probabilities(self, values: npt.NDArray[np.float32]) -> None:
        # Comparisons with NaN are false.
        within = bool(((values >= -ROUNDING) & (values <= 1 + ROUNDING)).all())
        self._must(within, "probabilities in [0, 1]", values)

    def _must(self, holds: bool, rule: str, got: Any) -> None:
        """Raise ServingError unless the answer keeps to the rule."""
        if holds:
            return
        if isinstance(got, np.ndarray):
            sample = " ".join(map(str, got.ravel()[:5].tolist()))
            got = f"{got.dtype} of shape {got.shape}, beginning with {printable(sample, 100)}"
        raise ServingError(
            f"the answer of {self} must have {rule}; got {printable(str(got), 200)}. {CONTRACT}"
        )


def encode_examples(images: npt.NDArray[np.uint8]) -> list[bytes]:
    """Images as the signature `classify` takes them: serialised `tf.train.Example`s.

    Imports TensorFlow, which has the protos.

    Args:
        images: (n, height, width) uint8.
    """
    from tensorflow.core.example import example_pb2

    encoded = []
    for image in images:
        example = example_pb2.Example()
        example.features.feature["image"].bytes_list.value.append(image.tobytes())
        encoded.append(example.SerializeToString())
    return encoded
