"""What any classifier behind a server is asked and answers, checked on both ways.

`Predictor` is the part that is the same whether the model is asked over REST (`tfd2l.serving`), over
gRPC (`tfd2l.grpc_client`) or in this process. TensorFlow is not imported.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "Classification",
    "Predictions",
    "Predictor",
    "ServingError",
    "Signature",
    "TensorInfo",
    "check_images",
    "printable",
]

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Any]
# Rounding in float32 and in JSON may leave a probability this far outside of [0, 1].
ROUNDING = 1e-4
PREDICT, CLASSIFY = "serving_default", "classify"
CONTRACT = "Export it by tfd2l.export.export_classifier, or as savedmodels/README.md says."


class ServingError(ValueError):
    """A model can't be asked this, or doesn't answer; the text has the rule and the remedy."""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        dtype: TensorFlow's name, such as 'uint8' or 'string'.
        shape: sizes, None where any is allowed; None for any rank.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """A signature's inputs and outputs by name."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What `serving_default` answers for n images and q classes.

    Attributes:
        logits: (n, q) float32.
        probabilities: (n, q) float32 in [0, 1].
        class_id: (n,) int64 in [0, q).
        label: (n,) strings; the class's name.
    """

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int64]
    label: npt.NDArray[np.str_]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.label)


@dataclass(frozen=True, eq=False)
class Classification:
    """What `classify` answers for n images: the classes' names, the likeliest first.

    Attributes:
        classes: (n, k) strings.
        scores: (n, k) float32; the probabilities.
    """

    classes: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.classes)


Answer = TypeVar("Answer", Predictions, Classification)


class Predictor(ABC):
    """A classifier somewhere: checks images, asks in batches, checks and joins the answers."""

    def __init__(self, batch_size: int) -> None:
        """Raises ValueError: `batch_size` is not a whole number of at least 1."""
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f"batch_size must be a whole number of at least 1; got {batch_size!r}. A server "
                "that batches takes up to 256 by default."
            )
        self._batch_size = batch_size
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
            f"{self} must have a signature {PREDICT!r} with the one input 'image', uint8 (n, height, "
            f"width); it has {inputs or 'no such signature'}. {CONTRACT}"
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
        except (ValueError, OverflowError):
            # Rows of different lengths, or lists in more levels than an array has axes.
            return np.array(None)

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


def check_images(
    images: npt.ArrayLike, image_shape: tuple[int | None, int | None]
) -> npt.NDArray[np.uint8]:
    """Give back images as (n, height, width) uint8, if they are raw images of this shape.

    A server would answer for most of what is refused here, and wrongly: over REST 256 counts as 0
    and -1 as 255.

    Args:
        images: (n, height, width), or (height, width) for one; integers in 0..255.
        image_shape: height and width in pixels; None where any goes.

    Raises:
        ServingError: another rank, shape or dtype, a value out of range, or no image.
    """
    try:
        array = np.asarray(images)
    except (TypeError, ValueError) as error:
        raise ServingError(
            f"images must be an array of integers; got {type(images).__name__}: {error}. All rows "
            "and images need the same length."
        ) from error
    if array.dtype.kind not in "iu":
        raise _wrong_dtype(array)
    height, width = (side or "any" for side in image_shape)
    rule = f"images must be (n, {height}, {width}), or ({height}, {width}) for one image"
    batch = array[np.newaxis] if array.ndim == 2 else array
    if batch.ndim != 3:
        channel = batch.ndim == 4 and batch.shape[-1] == 1
        remedy = "Drop the channel: images[..., 0]." if channel else "Give them that shape."
        raise ServingError(f"{rule}; got shape {array.shape}. {remedy}")
    if any(want not in (None, got) for want, got in zip(image_shape, batch.shape[1:], strict=True)):
        raise ServingError(
            f"{rule}; got shape {array.shape}. tfd2l.image_files.read_image_file(path, size) reads "
            "an image file at this size."
        )
    if not batch.size:
        raise ServingError(f"{rule}; got shape {array.shape}, no pixels. Give at least one image.")
    return _in_range(batch)


def printable(text: str, limit: int = 400) -> str:
    """Foreign text in one line without control characters, cut to so many characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 10 * limit])
    line = " ".join(line.split())
    return line if len(line) <= limit else f"{line[:limit]}..."


def _wrong_dtype(array: Array) -> ServingError:
    what, remedy = array.dtype.name, "Convert them: images.astype(np.uint8)."
    if array.dtype.kind == "f" and array.size:
        low, high = array.min(), array.max()
        what += " with NaN" if np.isnan(low) else f" from {low} to {high}"
        remedy = "Round them: np.rint(images).astype(np.uint8)."
        if np.isnan(low):
            remedy = "Give raw pixels."
        elif high <= 1:
            remedy = "Undo the scaling: np.rint(images * 255).astype(np.uint8)."
    elif array.dtype.kind == "b":
        remedy = "Give grey values: images * np.uint8(255)."
    elif array.dtype.kind not in "f":
        remedy = "Give raw pixels in an array of dtype uint8."
    return ServingError(f"images must be integers in 0..255, raw pixels; got {what}. {remedy}")


def _in_range(batch: Array) -> npt.NDArray[np.uint8]:
    bad = (batch < 0) | (batch > 255)
    if bad.any():
        place = tuple(int(index) for index in np.argwhere(bad)[0])
        value = int(batch[place])
        raise ServingError(
            f"images must be integers in 0..255, raw pixels; got {value} at {place}, which the "
            f"server would take for {value % 256}. Rescale them, or cut: images.clip(0, 255)."
        )
    return batch.astype(np.uint8)
