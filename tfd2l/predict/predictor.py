"""The part that all clients share: check images, send them in batches, check the answers.

A `Predictor` queries a model over REST (`rest_client.Client`), over gRPC (`grpc_client.GrpcClient`)
or in this process (`local.LocalModel`). TensorFlow is not imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import one_line
from tfd2l.export.signature_types import Signature
from tfd2l.export.versions import MAX_VERSION
from tfd2l.predict.answers import Classification, Predictions, ServingError, check_images

__all__ = ["CLASSIFY", "EXPORT_HINT", "MAX_IMAGES", "PREDICT", "Outputs", "Predictor",
           "RemotePredictor", "signature_input"]  # fmt: skip

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Any]
# A server that was deployed with --batching takes as many: max_batch_size of its parameters.
MAX_IMAGES = 1024
# Dtypes and ranks of the outputs of both signatures.
_FORMS: dict[str, tuple[npt.DTypeLike, int]] = {
    "logits": (np.float32, 2),
    "probabilities": (np.float32, 2),
    "class_id": (np.int64, 1),
    "label": (np.str_, 1),
    "classes": (np.str_, 2),
    "scores": (np.float32, 2),
}
PREDICT, CLASSIFY = "serving_default", "classify"
EXPORT_HINT = (
    "Export the model with tfd2l.export.signatures.export_classifier, or as savedmodels/README.md "
    "says."
)

Answer = TypeVar("Answer", Predictions, Classification)


class Predictor(ABC):
    """Base of all clients: checks images, sends them in batches, checks and joins the answers."""

    def __init__(self, batch_size: int) -> None:
        """Keep the setting; ValueError if it is not a whole number from 1 to `MAX_IMAGES`."""
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
        return self._in_batches(images, PREDICT, Predictions)

    def classify(self, images: npt.ArrayLike) -> Classification:
        """Labels and probabilities of raw images, the likeliest first.

        Arguments and errors are those of `predict`.
        """
        return self._in_batches(images, CLASSIFY, Classification)

    def image_shape(self) -> tuple[int | None, int | None]:
        """Height and width in pixels of the images that the model takes; None where any is allowed.

        Raises:
            ServingError: the model can't be reached, or isn't a classifier of grey images.
        """
        if self._signatures is None:
            self._signatures = self.metadata()
        signature = self._signatures.get(PREDICT)
        inputs = {} if signature is None else {**signature.inputs}
        if set(inputs) == {"image"} and inputs["image"].dtype == "uint8":
            shape = inputs["image"].shape or ()
            if len(shape) == 3:
                return shape[1:]
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
        self, images: npt.ArrayLike, signature: str, answer_type: type[Answer]
    ) -> Answer:
        checked = check_images(images, self.image_shape())
        parts: dict[str, list[Array]] = {field.name: [] for field in fields(answer_type)}
        try:
            for start in range(0, len(checked), self._batch_size):
                batch = checked[start : start + self._batch_size]
                outputs = self._query(signature, batch)
                for name, arrays in parts.items():
                    arrays.append(self._read(outputs, name, len(batch)))
        except ServingError:
            # The server may have another model by now, so the next call reads its metadata.
            self._signatures = None
            raise
        return answer_type(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def _read(self, outputs: Outputs, name: str, n: int) -> Array:
        """Convert an output for n images; ServingError if it has another rank, length or dtype."""
        dtype, rank = _FORMS[name]
        try:
            if name not in outputs:
                raise ValueError(f"the outputs {[*outputs]}")
            values = np.asarray(outputs[name])
            if values.dtype == object:
                # TensorFlow gives strings as bytes.
                values = np.char.decode(values.astype(np.bytes_), "utf-8", "replace")
            if values.ndim != rank or len(values) != n:
                raise ValueError(f"an array of shape {values.shape}")
            values = values.astype(dtype, casting="same_kind")
            # Written so that NaN is refused; rounding may leave a probability a little outside.
            if name in ("probabilities", "scores") and not (np.abs(values - 0.5) < 0.5001).all():
                raise ValueError("probabilities outside of [0, 1]")
            return values
        except (TypeError, ValueError) as error:
            raise ServingError(
                f"the answer of {self} must have an output {name!r} of rank {rank} for {n} images; "
                f"got {one_line(str(error), 200)}. {EXPORT_HINT}"
            ) from error


class RemotePredictor(Predictor):
    """Base of the clients of a server: a model's name and version, and connections to close."""

    def __init__(self, address: str, model: str, version: int | None, batch_size: int) -> None:
        """Keep the settings; `address` is the server's, as errors name it."""
        super().__init__(batch_size)
        self._address = address
        self._model = model
        if version is not None:
            version = whole_number("version", version, minimum=0, maximum=MAX_VERSION)
        self._version = version

    def __str__(self) -> str:
        version = "" if self._version is None else f", version {self._version},"
        return f"model {self._model!r}{version} at {self._address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End the connections."""


def signature_input(
    signature: str, images: npt.NDArray[np.uint8]
) -> tuple[str, npt.NDArray[np.generic]]:
    """Return the one input of a signature, its name and its value for these images.

    `serving_default` takes raw pixels, and `classify` serialised `tf.train.Example`s.
    """
    if signature == PREDICT:
        return "image", images
    # TensorFlow, which has the protos, takes long to import.
    from tensorflow.core.example import example_pb2

    encoded = []
    for image in images:
        example = example_pb2.Example()
        example.features.feature["image"].bytes_list.value.append(image.tobytes())
        encoded.append(example.SerializeToString())
    return "inputs", np.array(encoded, np.object_)
