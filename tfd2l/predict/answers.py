"""A model's answers and metadata, and the check of images before they are sent.

For JSON of another form, the parsers raise AttributeError, KeyError, TypeError or ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfd2l.common.errors import Tfd2lError
from tfd2l.export.signature_types import Signature, TensorSpec

__all__ = ["Classification", "NumberPredictions", "Predictions", "ServingError", "VersionStatus",
           "check_images", "parse_signatures", "parse_status"]  # fmt: skip

# The dtypes whose names in protos differ from TensorFlow's own by more than capitals.
_DTYPES = {"float": "float32", "double": "float64"}


class ServingError(Tfd2lError, ValueError):
    """A model can't be queried in this way, or doesn't answer."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The outputs of a classifier's signature `serving_default` for n examples and q classes.

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
        return len(self.label)


@dataclass(frozen=True, eq=False)
class NumberPredictions:
    """The outputs of a regression's signature `serving_default` for n examples.

    Attributes:
        prediction: (n,) float32, in the unit of the data.
    """

    prediction: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.prediction)


@dataclass(frozen=True, eq=False)
class Classification:
    """The outputs of the signature `classify` for n examples, the likeliest class first.

    Attributes:
        classes: (n, k) strings; the classes' names.
        scores: (n, k) float32; their probabilities.
    """

    classes: npt.NDArray[np.str_]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version of a model, as a server reports it.

    Attributes:
        state: 'START', 'LOADING', 'AVAILABLE', 'UNLOADING' or 'END'.
        error: the reason why it failed to load; empty if it didn't fail.
    """

    version: int
    state: str
    error: str


def check_images(
    images: npt.ArrayLike, image_shape: tuple[int | None, ...]
) -> npt.NDArray[np.uint8]:
    """Return raw images of this shape as a batch, (n, *image_shape) uint8.

    A server would give a wrong answer for most of the values that are refused here: over REST it
    takes 256 for 0 and -1 for 255.

    Args:
        images: (n, *image_shape), or `image_shape` for one; integers in 0..255.
        image_shape: (height, width) of grey images, or (height, width, channels), in pixels; None
            where any number is allowed.

    Raises:
        ServingError: another rank, shape or dtype, a value out of range, or no image.
    """
    array = np.asarray(images)
    rule = "images must be integers in 0..255, raw pixels"
    if array.dtype.kind not in "iu":
        raise ServingError(
            f"{rule}; got {array.dtype}. Convert them: images.astype(np.uint8), after "
            "np.rint(images * 255) if they are scaled to 0..1."
        )
    batch = array[np.newaxis] if array.ndim == len(image_shape) else array
    # Where any size is allowed, the array's own one fits.
    wanted = [side or own for side, own in zip(image_shape, batch.shape[1:], strict=False)]
    if batch.ndim != 1 + len(image_shape) or list(batch.shape[1:]) != wanted or not batch.size:
        sides = ", ".join(str(side or "any") for side in image_shape)
        raise ServingError(
            f"images must be (n, {sides}), or ({sides}) for one image, and n at least 1; got shape "
            f"{array.shape}. d2l.read_image_file(path, size) reads an image file at this size."
        )
    low, high = batch.min(), batch.max()
    if low < 0 or high > 255:
        raise ServingError(
            f"{rule}; got {low} to {high}, which the server would take modulo 256. Rescale them, "
            "or clip: images.clip(0, 255)."
        )
    return batch.astype(np.uint8)


def parse_signatures(definitions: Any) -> dict[str, Signature]:
    """Read signatures by name from the JSON form of the proto SignatureDefMap."""
    return {
        name: Signature(_specs(one.get("inputs", {})), _specs(one.get("outputs", {})))
        for name, one in definitions["signature_def"].items()
        # TensorFlow adds signatures for its own loader.
        if not name.startswith("__")
    }


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    """Read inputs or outputs by name from the JSON form of the proto TensorInfo."""
    specs = {}
    for name, tensor in tensors.items():
        dtype = tensor["dtype"].removeprefix("DT_").lower()
        shape = tensor.get("tensor_shape", {})
        sizes = [int(one.get("size", 0)) for one in shape.get("dim", [])]
        specs[name] = TensorSpec(
            tensor.get("name", ""),
            _DTYPES.get(dtype, dtype),
            None if shape.get("unknown_rank") else tuple(None if n < 0 else n for n in sizes),
        )
    return specs


def parse_status(answer: Any) -> list[VersionStatus]:
    """Read versions, oldest first, from the JSON form of the proto GetModelStatusResponse."""
    versions = [
        VersionStatus(int(one["version"]), one["state"], one["status"].get("error_message", ""))
        for one in answer["model_version_status"]
    ]
    return sorted(versions, key=lambda one: one.version)
