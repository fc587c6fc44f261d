"""Image files with the model's answers or with errors, as text and as JSON values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.basics.text import shown

if TYPE_CHECKING:
    from tfd2l.predict.images import Prepared

__all__ = ["LabelledImage", "UnreadableImage", "printable_name"]

_MAX_CLASSES = 3


@dataclass(frozen=True)
class LabelledImage:
    """An image that was read, and the model's answer for it.

    Attributes:
        file: the file's name, as the user gave it.
        image: the image in the form that the model took.
        classes: names of all classes, the likeliest first.
        scores: their probabilities.
    """

    file: str
    image: Prepared
    classes: list[str]
    scores: list[float]

    @property
    def headline(self) -> str:
        """Label and probability."""
        return f"{self.classes[0]} {self.scores[0]:.3f}"

    def as_text(self) -> str:
        """Three lines to read: the answer, the next likeliest classes, changes to the image."""
        pairs = list(zip(self.classes, self.scores, strict=True))[1:_MAX_CLASSES]
        others = ", ".join(f"{label} {score:.3f}" for label, score in pairs) or "nothing else"
        changes = "; ".join(self.image.notes) or "taken as it is"
        name = printable_name(self.file)
        return f"{name}: {self.headline}\n  then   {others}\n  image  {changes}"

    def as_json(self) -> dict[str, Any]:
        """File, label, probability, classes, scores and notes as JSON values."""
        return {
            "file": self.file,
            "label": self.classes[0],
            "probability": self.scores[0],
            "classes": self.classes,
            "scores": self.scores,
            "notes": [*self.image.notes],
        }


@dataclass(frozen=True)
class UnreadableImage:
    """An image file that can't be read, and the reason."""

    file: str
    error: str

    def as_json(self) -> dict[str, Any]:
        """File and error as JSON values."""
        return {"file": self.file, "error": self.error}


def printable_name(name: str) -> str:
    """Return a file's name in one line, with escapes if it has unprintable characters."""
    return name if name.isprintable() else shown(name)
