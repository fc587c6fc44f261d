"""What a served classifier answers, and a check of the raw images that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfd2l.common.errors import Tfd2lError

__all__ = [
    "Classification",
    "Predictions",
    "ServingError",
    "Signature",
    "TensorInfo",
    "VersionStatus",
    "check_images",
    "parse_signatures",
    "parse_status",
    "printable",
]

Array = np.ndarray[Any, Any]
# The types whose names in protos differ from TensorFlow's own by more than capitals.
DTYPES = {"float": "float32", "double": "float64"}


class ServingError(Tfd2lError, ValueError):
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


@dataclass(frozen=True)
class VersionStatus:
    """What a server says of one version of a model.

    Attributes:
        version: its number.
        state: 'START', 'LOADING', 'AVAILABLE', 'UNLOADING' or 'END'.
        error: why it failed to load; empty if it didn't.
    """

    version: int
    state: str
    error: str


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


def parse_signatures(definitions: Any) -> dict[str, Signature]:
    """Signatures from the JSON form of the proto SignatureDefMap.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none.
    """
    return {
        name: Signature(_infos(one.get("inputs", {})), _infos(one.get("outputs", {})))
        for name, one in definitions["signature_def"].items()
        # TensorFlow's own, for its loader.
        if not name.startswith("__")
    }


def parse_status(answer: Any) -> list[VersionStatus]:
    """Versions, oldest first, from the JSON form of the proto GetModelStatusResponse.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none.
    """
    found = [
        VersionStatus(
            int(one["version"]), str(one["state"]), str(one["status"].get("error_message", ""))
        )
        for one in answer["model_version_status"]
    ]
    return sorted(found, key=lambda one: one.version)


def _infos(tensors: Any) -> dict[str, TensorInfo]:
    """From the JSON form of protos TensorInfo by name."""
    infos = {}
    for name, tensor in tensors.items():
        dtype, shape = tensor["dtype"].removeprefix("DT_").lower(), tensor.get("tensor_shape", {})
        sizes = [int(one.get("size", 0)) for one in shape.get("dim", [])]
        infos[name] = TensorInfo(
            DTYPES.get(dtype, dtype),
            None if shape.get("unknown_rank") else tuple(None if n < 0 else n for n in sizes),
        )
    return infos
