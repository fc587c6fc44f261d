"""A classifier's answers and metadata, and the check of images before they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfd2l.common.errors import Tfd2lError
from tfd2l.export.signature_types import Signature, TensorSpec

__all__ = [
    "Classification",
    "Predictions",
    "ServingError",
    "VersionStatus",
    "check_images",
    "parse_signatures",
    "parse_status",
]

Array = np.ndarray[Any, Any]
# The dtypes whose names in protos differ from TensorFlow's own by more than capitals.
_DTYPES = {"float": "float32", "double": "float64"}


class ServingError(Tfd2lError, ValueError):
    """A model can't be queried in this way, or doesn't answer."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The outputs of the signature `serving_default` for n images and q classes.

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
    """The outputs of the signature `classify` for n images, the likeliest class first.

    Attributes:
        classes: (n, k) strings; the classes' names.
        scores: (n, k) float32; their probabilities.
    """

    classes: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.classes)


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version of a model, as a server reports it.

    Attributes:
        version: its number.
        state: 'START', 'LOADING', 'AVAILABLE', 'UNLOADING' or 'END'.
        error: the reason why it failed to load; empty if it didn't fail.
    """

    version: int
    state: str
    error: str


def check_images(
    images: npt.ArrayLike, image_shape: tuple[int | None, int | None]
) -> npt.NDArray[np.uint8]:
    """Return the images as a batch of uint8, if they are raw images of this shape.

    A server would give a wrong answer for most of the values that are refused here: over REST it
    takes 256 for 0 and -1 for 255.

    Args:
        images: (n, height, width), or (height, width) for one; integers in 0..255.
        image_shape: height and width in pixels; None where any number is allowed.

    Returns:
        (n, height, width) uint8.

    Raises:
        ServingError: another rank, shape or dtype, a value out of range, or no image.

    Example:
        >>> check_images(np.full((28, 28), 255), (28, 28)).shape
        (1, 28, 28)
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
    batch = array[np.newaxis] if array.ndim == 2 else array
    _check_shape(array.shape, batch, image_shape)
    _check_range(batch)
    return batch.astype(np.uint8)


def _wrong_dtype(array: Array) -> ServingError:
    """Make the error for an array of anything but integers; the remedy depends on its values."""
    found = array.dtype.name
    if array.dtype.kind == "f" and array.size:
        low, high = array.min(), array.max()
        if np.isnan(low):
            found, remedy = f"{found} with NaN", "Give raw pixels."
        else:
            found = f"{found} from {low} to {high}"
            remedy = "Round them: np.rint(images).astype(np.uint8)."
            if high <= 1:
                remedy = "Undo the scaling: np.rint(images * 255).astype(np.uint8)."
    elif array.dtype.kind == "f":
        remedy = "Convert them: images.astype(np.uint8)."
    elif array.dtype.kind == "b":
        remedy = "Give grey values: images * np.uint8(255)."
    else:
        remedy = "Give raw pixels in an array of dtype uint8."
    return ServingError(f"images must be integers in 0..255, raw pixels; got {found}. {remedy}")


def _check_shape(
    given: tuple[int, ...], batch: Array, image_shape: tuple[int | None, int | None]
) -> None:
    """Raise ServingError unless the batch has images of the shape; `given` is the user's shape."""
    height, width = (side or "any" for side in image_shape)
    rule = f"images must be (n, {height}, {width}), or ({height}, {width}) for one image"
    if batch.ndim != 3:
        has_channel = batch.ndim == 4 and batch.shape[-1] == 1
        remedy = "Drop the channel: images[..., 0]." if has_channel else "Give them that shape."
    elif any(
        side not in (None, got) for side, got in zip(image_shape, batch.shape[1:], strict=True)
    ):
        remedy = "d2l.read_image_file(path, size) reads an image file at this size."
    elif not batch.size:
        raise ServingError(f"{rule}; got shape {given}, no pixels. Give at least one image.")
    else:
        return
    raise ServingError(f"{rule}; got shape {given}. {remedy}")


def _check_range(batch: Array) -> None:
    """Raise ServingError for the first value that no pixel has."""
    bad = (batch < 0) | (batch > 255)
    if bad.any():
        place = tuple(int(index) for index in np.argwhere(bad)[0])
        value = int(batch[place])
        raise ServingError(
            f"images must be integers in 0..255, raw pixels; got {value} at {place}, which the "
            f"server would take for {value % 256}. Rescale them, or clip: images.clip(0, 255)."
        )


def parse_signatures(definitions: Any) -> dict[str, Signature]:
    """Read signatures by name from the JSON form of the proto SignatureDefMap.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the value has another form.
    """
    return {
        name: Signature(_specs(one.get("inputs", {})), _specs(one.get("outputs", {})))
        for name, one in definitions["signature_def"].items()
        # TensorFlow adds signatures for its own loader.
        if not name.startswith("__")
    }


def _specs(tensors: Any) -> Mapping[str, TensorSpec]:
    """Read inputs or outputs by name from the JSON form of the proto TensorInfo."""
    specs = {}
    for name, tensor in tensors.items():
        dtype = tensor["dtype"].removeprefix("DT_").lower()
        shape = tensor.get("tensor_shape", {})
        sizes = [int(one.get("size", 0)) for one in shape.get("dim", [])]
        specs[name] = TensorSpec(
            str(tensor.get("name", "")),
            _DTYPES.get(dtype, dtype),
            None if shape.get("unknown_rank") else tuple(None if n < 0 else n for n in sizes),
        )
    return specs


def parse_status(answer: Any) -> list[VersionStatus]:
    """Read versions, oldest first, from the JSON form of the proto GetModelStatusResponse.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the value has another form.
    """
    versions = [
        VersionStatus(
            int(one["version"]), str(one["state"]), str(one["status"].get("error_message", ""))
        )
        for one in answer["model_version_status"]
    ]
    return sorted(versions, key=lambda one: one.version)
