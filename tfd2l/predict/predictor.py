"""The part that all clients share: check images, send them in batches, check the answers.

A `Predictor` queries a model over REST (`rest_client.Client`), over gRPC (`grpc_client.GrpcClient`)
or in this process (`local.LocalModel`). TensorFlow is not imported.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import one_line
from tfd2l.export.signature_types import Signature
from tfd2l.predict.answers import Classification, Predictions, ServingError, check_images

__all__ = [
    "CLASSIFY",
    "EXPORT_HINT",
    "MAX_IMAGES",
    "PREDICT",
    "Outputs",
    "Predictor",
    "RemotePredictor",
    "encode_examples",
]

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Any]
# The deployed configuration takes as many: max_batch_size in batching_parameters.txt.
MAX_IMAGES = 1024
# Rounding in float32 and in JSON may leave a probability this far outside of [0, 1].
_ROUNDING = 1e-4
PREDICT, CLASSIFY = "serving_default", "classify"
EXPORT_HINT = (
    "Export the model with tfd2l.export.signatures.export_classifier, or as savedmodels/README.md "
    "says."
)

Answer = TypeVar("Answer", Predictions, Classification)


class Predictor(ABC):
    """Base of all clients: checks images, sends them in batches, checks and joins the answers."""

    def __init__(self, batch_size: int) -> None:
        """Raises ValueError: `batch_size` is not a whole number from 1 to `MAX_IMAGES`."""
        hint = "It is per request; more images are sent in several. 256 make about 1 MB."
        self._batch_size = whole_number("batch_size", batch_size, maximum=MAX_IMAGES, hint=hint)
        self._signatures: Mapping[str, Signature] | None = None

    def predict(self, images: npt.ArrayLike) -> Predictions:
        """Classify raw images.

        Args:
            images: (n, height, width), or (height, width) for one; integers in 0..255.

        Raises:
            ServingError: the images have another form, which is found before anything is sent; or
                the model can't be reached, refuses, or gives an answer of the wrong form.
        """
        return self._in_batches(images, PREDICT, self._to_predictions)

    def classify(self, images: npt.ArrayLike) -> Classification:
        """Labels and probabilities of raw images, the likeliest first.

        Args:
            images: as for `predict`.

        Raises:
            ServingError: as for `predict`.
        """
        return self._in_batches(images, CLASSIFY, self._to_classification)

    def image_shape(self) -> tuple[int | None, int | None]:
        """Height and width in pixels of the images that the model takes; None where any is allowed.

        Raises:
            ServingError: the model can't be reached, or isn't a classifier of grey images.
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
            f"(n, height, width); it has {inputs or 'no such signature'}. {EXPORT_HINT}"
        )

    @abstractmethod
    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name."""

    @abstractmethod
    def __str__(self) -> str:
        """The model's name and place, for errors."""

    @abstractmethod
    def _query(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        """Run a signature on (n, height, width) checked images, n at most `batch_size`."""

    def _in_batches(
        self, images: npt.ArrayLike, signature: str, convert: Callable[[Outputs, int], Answer]
    ) -> Answer:
        checked = check_images(images, self.image_shape())
        parts = []
        for batch in self._batches(checked):
            try:
                parts.append(convert(self._query(signature, batch), len(batch)))
            except ServingError:
                # The server may have another model by now, so the next call reads its metadata.
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
        class_id = self._output(outputs, "class_id")
        label = self._texts(outputs, "label", (n,))
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
        """Read an output of n rows of numbers."""
        values = self._output(outputs, name)
        fits = values.ndim == 2 and len(values) == n and values.shape[1] > 0
        rule = f"{name!r} with {n} rows of numbers"
        self._must(fits and values.dtype.kind in "fiu", rule, values)
        # Numbers beyond float32 become infinite; as probabilities they are refused below.
        with np.errstate(over="ignore"):
            return values.astype(np.float32)

    def _texts(self, outputs: Outputs, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.str_]:
        """Read an output of strings, which TensorFlow gives as bytes."""
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
        within = bool(((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all())
        self._must(within, "probabilities in [0, 1]", values)

    def _must(self, holds: bool, rule: str, got: Any) -> None:
        """Raise ServingError unless the answer obeys the rule."""
        if holds:
            return
        if isinstance(got, np.ndarray):
            sample = " ".join(map(str, got.ravel()[:5].tolist()))
            got = f"{got.dtype} of shape {got.shape}, beginning with {one_line(sample, 100)}"
        raise ServingError(
            f"the answer of {self} must have {rule}; got {one_line(str(got), 200)}. {EXPORT_HINT}"
        )


class RemotePredictor(Predictor):
    """Base of the clients of a server: a model's name and version, and connections to close."""

    def __init__(self, address: str, model: str, version: int | None, batch_size: int) -> None:
        """Raises ServingError or ValueError: one of these is out of range.

        Args:
            address: the server's, as errors name it.
            model: the model's name in the server.
            version: its number; None for the newest.
            batch_size: the largest number of images in a request.
        """
        super().__init__(batch_size)
        if not model or (version is not None and version < 0):
            raise ServingError(
                "a model has a name, and a version is a whole number of at least 0; got "
                f"{model!r} and {version!r}. python -m tfd2l.train names the model after --model."
            )
        self._address = address
        self._model = model
        self._version = version

    def __str__(self) -> str:
        """Model, version and address."""
        version = "" if self._version is None else f", version {self._version},"
        return f"model {self._model!r}{version} at {self._address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End the connections."""


def encode_examples(images: npt.NDArray[np.uint8]) -> list[bytes]:
    """Serialise images as `tf.train.Example`s, the form that the signature `classify` takes.

    TensorFlow, which has the protos, is imported here.

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
