"""The form of a model's raw inputs, by its signature and its card: images, or rows of a table.

TensorFlow is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfd2l.export.signature_types import Signature, TensorSpec

if TYPE_CHECKING:
    from pipelines.raw_inputs import Framing

__all__ = ["ImageForm", "RowForm", "raw_form"]

# Fashion-MNIST's: for models that do not say how images are framed, and those that take any size.
_GARMENT_SHAPE = (28, 28)


@dataclass(frozen=True)
class ImageForm:
    """Images, one input `image` of uint8.

    Attributes:
        shape: (height, width) of grey images, or (height, width, channels); None where any size is
            allowed.
        framing: the change that a client makes to a photograph: 'garment' or 'none'.
        is_guess: nothing says so, and the framing follows from the shape.
        is_number: the model predicts a number, not a class.
    """

    shape: tuple[int | None, ...]
    framing: Framing
    is_guess: bool = False
    is_number: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width at which a client reads images."""
        height, width = self.shape[:2]
        return height or _GARMENT_SHAPE[0], width or _GARMENT_SHAPE[1]

    @property
    def channels(self) -> int | None:
        """1 for grey images, 3 for colour; None for any number."""
        return 1 if len(self.shape) == 2 else self.shape[2]


@dataclass(frozen=True)
class RowForm:
    """Rows of a table, an input of float32 or string for each column; or numbers without names.

    Attributes:
        columns: the inputs by name, (n,) each, in the card's order if it has one; or the one input
            `features`, (n, d) float32.
        labels: the names of the classes by class id; empty for numbers, or where nothing says so.
        is_number: the model predicts a number, not a class.
        dialect: arguments of `pipelines.tables.dialect.Dialect`, by which training read its rows.
    """

    columns: Mapping[str, TensorSpec]
    labels: tuple[str, ...] = ()
    is_number: bool = False
    dialect: Mapping[str, Any] | None = None

    @property
    def is_table(self) -> bool:
        """The inputs are columns of a table, with one value a row."""
        return all(_rank(spec) == 1 for spec in self.columns.values())


def raw_form(signature: Signature, card: Mapping[str, Any]) -> ImageForm | RowForm | None:
    """Return the form of a signature's raw inputs; None if they are neither images nor rows.

    Args:
        signature: the signature for Predict.
        card: of the version; empty where none is known, as with a server's models.
    """
    inputs = signature.inputs
    is_number = set(signature.outputs) == {"prediction"}
    image = inputs.get("image")
    if len(inputs) == 1 and image is not None and image.dtype == "uint8":
        shape = (image.shape or ())[1:]
        framing, is_guess = _framing(shape, card)
        is_image = len(shape) in (2, 3)
        return ImageForm(shape, framing, is_guess, is_number) if is_image else None
    found = {(spec.dtype, _rank(spec)) for spec in inputs.values()}
    is_features = [*inputs] == ["features"] and found == {("float32", 2)}
    if not found or not (is_features or found <= {("float32", 1), ("string", 1)}):
        return None
    about = card.get("input", {})
    names = [name for name in about.get("columns", ()) if name in inputs]
    columns = {name: inputs[name] for name in dict.fromkeys([*names, *inputs])}
    labels = tuple(card.get("output", {}).get("labels", ()))
    return RowForm(columns, labels, is_number, about.get("dialect"))


def _rank(spec: TensorSpec) -> int:
    return -1 if spec.shape is None else len(spec.shape)


def _framing(shape: tuple[int | None, ...], card: Mapping[str, Any]) -> tuple[Framing, bool]:
    """Return the framing of the card's input, of an older card's data, or a guess by the shape."""
    framing = card.get("input", {}).get("framing")
    if framing in ("garment", "none"):
        return framing, False
    if card:
        is_fashion = card.get("data", {}).get("name") == "FashionMNIST"
        return ("garment" if is_fashion else "none"), False
    is_garment = shape == _GARMENT_SHAPE
    return ("garment" if is_garment else "none"), is_garment
