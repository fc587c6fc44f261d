"""Evaluates the model of a finished run on raw validation examples, and decides on publication."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipelines.basics.files import read_regular
from pipelines.outputs import ClassOutput, Output
from tfd2l.book.data import DataModule
from tfd2l.export.expected import outputs_of
from tfd2l.export.publish import CARD_FILE, published_versions

__all__ = [
    "Answers", "Evaluation", "answers_of", "evaluate", "latest_card", "reason_against",
]  # fmt: skip

Array = np.ndarray[Any, Any]
# Validation examples that are evaluated; more of them would tell the same.
MAX_EVALUATED = 20_000


@dataclass(frozen=True)
class Evaluation:
    """The quality of a model on validation examples.

    Attributes:
        metric: 'accuracy', the share of right classes, or 'rmse', the root of the mean squared
            error, in the unit of the data.
        value: of the model.
        guess: of one constant answer, the most frequent class or the mean.
        num_examples: the number of examples.
        sha256: of the examples, by which evaluations are known to be comparable.
    """

    metric: Literal["accuracy", "rmse"]
    value: float
    guess: float
    num_examples: int
    sha256: str

    def is_better_than(self, value: float) -> bool:
        """True if the model is better than one of this value."""
        return self.value > value if self.metric == "accuracy" else self.value < value

    @property
    def says_something(self) -> bool:
        """False if one constant answer is right for all examples."""
        return self.guess < 1 if self.metric == "accuracy" else self.guess > 0

    def as_json(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to validation examples.

    Attributes:
        raw: an array for each raw input, (n, ...).
        targets: (n,) class ids or numbers.
        outputs: (n, q) logits, or (n,) numbers.
        evaluation: their quality.
    """

    raw: Mapping[str, Any]
    targets: Array
    outputs: np.ndarray[Any, Any]
    evaluation: Evaluation


def answers_of(model: Any, data: DataModule) -> Answers:
    """Ask a model for its answers to the validation examples."""
    output = data.output()
    raw, targets = data.raw_examples(MAX_EVALUATED)
    outputs = outputs_of(model, data.raw_input(), output, raw)
    return Answers(raw, targets, outputs, evaluate(output, outputs, targets, raw))


def evaluate(
    output: Output, outputs: Array, targets: Array, raw: Mapping[str, Array]
) -> Evaluation:
    """Compare a model's outputs with the targets.

    Args:
        output: the kind of output.
        outputs: (n, q) logits, or (n,) numbers.
        targets: (n,) class ids, or numbers.
        raw: the raw examples, an array for each raw input.
    """
    sha256 = _digest({**raw, "target": targets})
    if isinstance(output, ClassOutput):
        accuracy = float((outputs.argmax(axis=1) == targets).mean())
        guess = float(np.bincount(np.asarray(targets, np.int64)).max() / len(targets))
        return Evaluation("accuracy", accuracy, guess, len(targets), sha256)
    numbers = np.asarray(targets, np.float64)
    rmse = float(np.sqrt(np.mean((outputs - numbers) ** 2)))
    return Evaluation("rmse", rmse, float(numbers.std()), len(targets), sha256)


def reason_against(evaluation: Evaluation, base: Path) -> str | None:
    """The reason why a model is not to be published unasked; None if there is none.

    Args:
        evaluation: the model's.
        base: the directory of the versions that are served.
    """
    metric, value = evaluation.metric, evaluation.value
    if evaluation.says_something and not evaluation.is_better_than(evaluation.guess):
        return (
            f"it is no better than guessing: {metric} {value:.4g}, where one constant answer has "
            f"{evaluation.guess:.4g}"
        )
    number, card = latest_card(base)
    served = card.get("evaluation")
    if not isinstance(served, dict) or served.get("sha256") != evaluation.sha256:
        return None
    known = served.get("value")
    if served.get("metric") != metric or not isinstance(known, int | float) or known == value:
        return None
    if evaluation.is_better_than(known):
        return None
    return (
        f"it is worse than version {number} of {base} on the same examples: {metric} {value:.4g}, "
        f"where that has {known:.4g}"
    )


def latest_card(base: Path) -> tuple[int, dict[str, Any]]:
    """The number and the card of the highest version; 0 and {} without a readable one."""
    number = max(published_versions(base), default=0)
    try:
        found = json.loads(read_regular(base / str(number) / CARD_FILE))
    except (OSError, ValueError):
        return 0, {}
    return (number, found) if isinstance(found, dict) else (0, {})


def _digest(arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.shape}".encode())
        texts = array.dtype == np.object_
        digest.update(repr(array.tolist()).encode() if texts else np.ascontiguousarray(array).data)
    return digest.hexdigest()
