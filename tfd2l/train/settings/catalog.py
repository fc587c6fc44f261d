"""The models that the command knows by name: their classes, tasks and default arguments.

Imports nothing slow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["CATALOG", "Entry", "Task", "file_and_class", "is_file", "served_name"]

Task = Literal["classification", "regression"]
_FILE = re.compile(r"(.+\.py)(?::([A-Za-z_]\w*))?", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """A model of the book.

    Attributes:
        classes: the name of the class for each task that the model can learn, its own first.
        defaults: arguments of the constructor that neither the data nor other settings give.
    """

    classes: Mapping[Task, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The task that the model has in the book."""
        return next(iter(self.classes))

    @property
    def is_scratch(self) -> bool:
        """True for models on bare variables, to whose layers Keras' dtype policy can't apply."""
        return all(name in _WITHOUT_LAYERS for name in self.classes.values())


_WITHOUT_LAYERS = {
    "LinearRegressionScratch", "WeightDecayScratch", "SoftmaxRegressionScratch", "MLPScratch",
}  # fmt: skip
# The book's section 5.6.3, and half the dropout there for both layers.
_DROPOUT = {"dropout_1": 0.5, "dropout_2": 0.5}
CATALOG: Mapping[str, Entry] = {
    "linear-scratch": Entry(
        {"regression": "LinearRegressionScratch", "classification": "SoftmaxRegressionScratch"}
    ),
    "linear": Entry({"regression": "LinearRegression", "classification": "SoftmaxRegression"}),
    "weight-decay-scratch": Entry({"regression": "WeightDecayScratch"}, {"lambd": 3.0}),
    "weight-decay": Entry({"regression": "WeightDecay"}, {"wd": 3.0}),
    "softmax-scratch": Entry({"classification": "SoftmaxRegressionScratch"}),
    "softmax": Entry({"classification": "SoftmaxRegression"}),
    "mlp-scratch": Entry({"classification": "MLPScratch"}),
    "mlp": Entry({"classification": "MLP", "regression": "MLPRegression"}),
    "dropout-scratch": Entry({"classification": "DropoutMLPScratch"}, _DROPOUT),
    "dropout": Entry({"classification": "DropoutMLP"}, _DROPOUT),
    "lenet": Entry({"classification": "LeNet"}),
}


def is_file(model: str) -> bool:
    """True for a reader's model, `FILE.py` or `FILE.py:CLASS`."""
    return _FILE.fullmatch(model) is not None


def file_and_class(model: str) -> tuple[Path, str]:
    """The two parts of a reader's model; the class is empty if it is not given."""
    found = _FILE.fullmatch(model)
    if found is None:
        raise ValueError(f"a model file ends with .py; got {model!r}.")
    return Path(found[1]), found[2] or ""


def served_name(name: str) -> str:
    """The name of a model's directory, from the name of a class or of a file."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-.") or "model"
