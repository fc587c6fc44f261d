"""The column to predict: classes or a number, decided by its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables import cells
from pipelines.tables.columns import Column
from pipelines.tables.errors import TableError
from pipelines.tables.preparation import numbers_of
from pipelines.tables.statistics import as_numbers

__all__ = ["Target", "Task", "learn_target"]

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Target:
    """The target of a table.

    Attributes:
        name: the column's name.
        task: 'classification' or 'regression'.
        rule: the reason for the task, a sentence.
        labels: the sorted classes, or None.
    """

    name: str
    task: Task
    rule: str
    labels: tuple[str, ...] | None = None

    def class_ids(self, column: pd.Series) -> npt.NDArray[np.int32]:
        """Turn classes, texts or typed, into (n,) int32.

        Raises:
            TableError: a class is not among the labels.
        """
        labels = self.labels or ()
        if (numbers := as_numbers(labels)) is not None:
            known, found = pd.Index(numbers, np.float32), cells.numbers(column).astype(np.float32)
        else:
            known, found = pd.Index(labels), _labels(column)
        ids = known.get_indexer(pd.Index(found))
        if (ids < 0).any():
            row, label = column.index[ids < 0][0], str(column[ids < 0].iloc[0])
            raise TableError(
                f"column {shown(self.name)}, row {row}: training has no class {shown(label)}; it "
                f"has {shown(list(labels))}."
            )
        return ids.astype(np.int32)

    def numbers(self, column: pd.Series) -> npt.NDArray[np.float64]:
        """Turn the values into (n,) float64."""
        return numbers_of(column).to_numpy()


def learn_target(column: pd.Series, task: Task | None = None) -> Target:
    """Decide what a model predicts, from the values of a target.

    Texts and bools are classes, and so are numbers of which there are just two, such as 0 and 1.
    Other numbers are numbers.

    Args:
        column: the target's values, all known.
        task: the decision, if it is made already.

    Raises:
        TableError: the values are dates, all the same, or do not suit the task.

    Example:
        >>> learn_target(pd.Series(["100", "250.5", "300"], name="Price")).task
        'regression'
        >>> learn_target(pd.Series(["yes", "no", "yes"], name="Sold")).labels
        ('no', 'yes')
    """
    name = str(column.name)
    if task not in (None, "classification", "regression"):
        raise ValueError(f"task must be 'classification' or 'regression'; got {shown(task)}.")
    is_category = task == "classification" or isinstance(column.dtype, pd.CategoricalDtype)
    learned = Column(name, is_category)
    learned.add(column)
    kind = learned.kind()
    if kind == "date":
        raise TableError(f"the target {shown(name)} has dates; turn them into numbers first.")
    if kind == "category" and task == "regression":
        raise TableError(
            f"the target {shown(name)} has texts, such as {shown(next(iter(learned.values)))}, so "
            "it can't be predicted as a number; use task='classification'."
        )
    different = _labels(column).drop_duplicates()
    if len(different) == 1:
        raise TableError(
            f"the target {shown(name)} is {shown(different.iloc[0])} in every row; there is "
            "nothing to learn."
        )
    found: Task = "classification" if kind == "category" or len(different) == 2 else "regression"
    rule = f"{shown(name)} has {_values(kind, len(different))}"
    if task is not None:
        found, rule = task, f"task={task!r} was given"
    labels = tuple(sorted(different, key=_sorting)) if found == "classification" else None
    return Target(name, found, f"{found}, as {rule}", labels)


def _values(kind: str, count: int) -> str:
    if kind == "category":
        return f"{count} classes"
    if count == 2:
        return "two different numbers"
    return f"{count} different numbers"


def _labels(column: pd.Series) -> pd.Series:
    """Spell classes as texts: numbers and bools in one way, texts and codes as they are."""
    words = cells.texts(column)
    if words.str.lower().isin(["true", "false"]).all():
        return words.str.capitalize()
    numbers = cells.numbers(column)
    is_code = words.str.match(r"[+-]?0\d", na=False).any()
    return words if is_code or numbers.isna().any() else cells.texts(numbers)


def _sorting(label: str) -> tuple[float, str]:
    """Sort numbers by size, before texts."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label
