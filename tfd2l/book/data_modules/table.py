"""Tables of a reader's own as a data module: any CSV file or pandas frame with a target."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from pipelines.basics.numbers import real_number, whole_number
from pipelines.basics.text import shown
from pipelines.outputs import ClassOutput, NumberOutput, Output
from pipelines.raw_inputs import TableInput
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError
from pipelines.tables.graph import table_input
from pipelines.tables.loading import Source, identity, load_rows
from pipelines.tables.moments import Moments
from pipelines.tables.preparation import as_float32, numbers_of, prepare
from pipelines.tables.rows import rows_for
from pipelines.tables.splits import split
from pipelines.tables.statistics import Missing, Statistics, fit
from pipelines.tables.targets import Task, learn_target
from tfd2l.book.data import DataModule

__all__ = ["Table"]

# In a shorter table a column may count by chance.
_MANY_ROWS = 10


class Table(DataModule):
    """The rows of a CSV file or a pandas frame: named columns in, a class or a number out.

    Numbers and dates are standardized, and categories become 0/1 columns, by the statistics of the
    training rows; see `pipelines.tables.statistics.fit` for the kinds of columns. The number to
    predict is standardized as well, and an export restores its unit.

    Attributes:
        statistics: means, deviations and categories of the training rows.
        dialect: the spelling of the values.
        raw_train: training rows, cleaned.
        raw_val: validation rows, cleaned.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({
        ...     "Rooms": [2, 3, None, 5], "Roof": ["Tin", "Slate", "Tin", None],
        ...     "Price": [100.0, 200.0, 150.0, 300.0],
        ... })
        >>> data = d2l.Table(houses, target="Price", batch_size=3, val_share=0.25)
        >>> data.task, data.num_inputs, data.num_train, data.num_val
        ('regression', 4, 3, 1)
        >>> for X, y in data.train_dataloader():
        ...     print(X.shape, y.shape)
        (3, 4) (3, 1)
    """

    target: str
    val_share: float
    missing: Missing
    ignore: Collection[str]
    drop_missing_targets: bool

    def __init__(
        self,
        data: Source,
        target: str,
        batch_size: int = 32,
        val_share: float = 0.2,
        seed: int = 0,
        val: Source | None = None,
        *,
        task: Task | None = None,
        missing: Missing = "impute",
        categorical: Collection[str] = (),
        ignore: Collection[str] = (),
        drop_missing_targets: bool = False,
        **dialect: Any,
    ) -> None:
        """Read, split and prepare the rows.

        Args:
            data: a CSV file or a frame, of texts or typed.
            target: the column to predict.
            batch_size: rows in a batch.
            val_share: the share of rows for validation, 0 for none; of each class for classes.
            seed: a whole number of at least 0, for the split and for the order of each epoch.
            val: validation rows, in place of a share of `data`.
            task: 'classification' or 'regression'; by default the target decides: texts, bools and
                numbers of which there are just two are classes, other numbers are not.
            missing: 'impute' fills gaps by the mean, or for categories by a column 'no category';
                'drop_rows' and 'drop_columns' delete the rows or columns that have gaps.
            categorical: columns that hold categories even if they look like numbers; the target
                may be one.
            ignore: columns that are no inputs, such as names.
            drop_missing_targets: leave out rows whose target is missing.
            **dialect: the spelling of the values, see `pipelines.tables.dialect.Dialect`: `sep`,
                `decimal`, `thousands`, `units`, `quotechar`, `encoding`, `comment`, `na_values`,
                `date_format`, `index_column`.

        Raises:
            TableError: the table is damaged, has no such target, or a column is not what it seems.
            OSError: a file can't be opened.
            ValueError: a number or an option is out of range.
        """
        super().__init__(root=None)
        batch_size = whole_number("batch_size", batch_size)
        seed = whole_number("seed", seed, minimum=0)
        val_share = real_number("val_share", val_share, maximum=0.9)
        categorical, ignore = _names(categorical), _names(ignore)
        self.save_hyperparameters(ignore=["data", "val", "task", "dialect", *dialect])
        self.dialect = Dialect(**dialect)
        self._sources = [identity(one) for one in (data, val) if one is not None]
        self._split(data, val, task, categorical)
        self._learn(missing, [name for name in categorical if name != target], ignore)
        self._train, self._val = self._arrays(self.raw_train), self._arrays(self.raw_val)
        _warn_of_numbers(self.raw_train, self.statistics)

    @property
    def task(self) -> Task:
        """'classification' or 'regression'; `describe()["task_rule"]` says why."""
        return self._target.task

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes by class id, sorted; None for a regression."""
        return self._target.labels

    @property
    def num_inputs(self) -> int:
        """The number of prepared inputs, d."""
        return len(self.statistics.columns)

    @property
    def num_train(self) -> int:
        """The number of training rows."""
        return len(self.raw_train)

    @property
    def num_val(self) -> int:
        """The number of validation rows."""
        return len(self.raw_val)

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        """Make batches of (k, d) float32 inputs, and (k, 1) float32 targets or (k,) int32 classes.

        Returns None for validation if there are no such rows.
        """
        if not train and self.num_val == 0:
            return None
        return self.get_tensorloader(self._train if train else self._val, train)

    def raw_input(self) -> TableInput:
        """The columns as a client has them, and their preparation."""
        return table_input(self.statistics)

    def output(self) -> Output:
        """The classes; or a number, which gets back its own unit."""
        if self.labels is not None:
            return ClassOutput(self.labels)
        mean, deviation = self._scale.mean, self._scale.deviation
        return NumberOutput(restore=lambda outputs: mean + deviation * outputs)

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """Columns of validation rows, or else of training rows: (n,) float32 or object of str.

        The targets are (n,) int32 class ids, or (n,) float64 in their own unit.
        """
        rows = (self.raw_val if self.num_val else self.raw_train)[:limit]
        values_of = self._target.numbers if self.labels is None else self._target.class_ids
        return rows_for(rows, self.statistics.raw_columns), values_of(rows[self.target])

    def describe(self) -> dict[str, Any]:
        """Name, seed, files and hashes, columns by kind, the task and its reason, the split."""
        found = self.statistics
        kinds = dict.fromkeys(found.means, "number") | dict.fromkeys(found.dates, "date")
        return (
            super().describe()
            | self._sources[0]
            | {
                "val": self._sources[1] if len(self._sources) > 1 else None,
                "rows": self.num_train + self.num_val,
                "columns": kinds | dict.fromkeys(found.categories, "category"),
                "target": self.target,
                "task": self.task,
                "task_rule": self._target.rule,
                "labels": None if self.labels is None else list(self.labels),
                "missing": self.missing,
                "split": {
                    "train": self.num_train,
                    "val": self.num_val,
                    "val_share": self.val_share if len(self._sources) == 1 else None,
                },
                "dialect": self.dialect.to_json(),
            }
        )

    def _split(
        self, data: Source, val: Source | None, task: Task | None, categorical: Collection[str]
    ) -> None:
        """Read the rows, learn the target, and part the rows for training and validation."""
        rows = self._load(data)
        targets = rows[self.target]
        if self.target in categorical:
            targets = targets.astype("category")
        self._target = learn_target(targets, task)
        if val is not None:
            self.raw_train, self.raw_val = rows, self._load(val)
            return
        ids = None if self.labels is None else self._target.class_ids(rows[self.target])
        train_at, val_at = split(len(rows), self.val_share, self.seed, ids)
        self.raw_train, self.raw_val = rows.iloc[train_at], rows.iloc[val_at]

    def _learn(
        self, missing: Missing, categorical: Collection[str], ignore: Collection[str]
    ) -> None:
        """Learn the statistics of the training rows, and the scale of a number to predict."""
        self.statistics = fit(
            self.raw_train.drop(columns=self.target),
            missing=missing,
            categorical=categorical,
            ignore=ignore,
            standardize=True,
        )
        if not self.statistics.columns:
            raise TableError(
                f"no column is left from which {shown(self.target)} could be predicted."
            )
        self._scale = Moments()
        if self.labels is None:
            self._scale.add(self._target.numbers(self.raw_train[self.target]))

    def _load(self, source: Source) -> pd.DataFrame:
        return load_rows(
            source,
            self.target,
            self.dialect,
            missing=self.missing,
            ignore=self.ignore,
            drop_missing_targets=self.drop_missing_targets,
        )

    def _arrays(self, rows: pd.DataFrame) -> tuple[Any, Any]:
        """Prepare rows: (n, d) float32, and (n, 1) float32 or (n,) int32."""
        inputs, _ = prepare(rows, self.statistics)
        if self.labels is not None:
            return as_float32(inputs), self._target.class_ids(rows[self.target])
        numbers = self._target.numbers(rows[self.target])
        scaled = (numbers - self._scale.mean) / self._scale.deviation
        return as_float32(inputs), scaled[:, np.newaxis].astype(np.float32)


def _names(given: Collection[str]) -> list[str]:
    """A list of names, also of a single one."""
    return [given] if isinstance(given, str) else [*given]


def _warn_of_numbers(rows: pd.DataFrame, statistics: Statistics) -> None:
    """Warn of a column that numbers the rows, and of numbers that float32 can't tell apart."""
    for name, mean in statistics.means.items():
        if name in statistics.dates:
            continue
        if name == rows.columns[0] and _counts(numbers_of(rows[name])):
            warnings.warn(
                f"column {shown(name)} counts the rows; if it only numbers them, leave it out by "
                f"index_column={shown(name)}.",
                stacklevel=3,
            )
        # A thousandth of a standard deviation; years and prices are far from it.
        if np.spacing(np.float32(abs(mean))) > statistics.deviations[name] / 1000:
            warnings.warn(
                f"column {shown(name)} has numbers around {mean:g} that differ by about "
                f"{statistics.deviations[name]:.2g}. A served model takes numbers as float32, of "
                "seven digits, which can't tell them apart; subtract a constant from them.",
                stacklevel=3,
            )


def _counts(numbers: pd.Series) -> bool:
    """Tell whether numbers, whose rows were drawn in order, grow by 1 from row to row."""
    steps = np.diff(numbers) / np.diff(numbers.index) if numbers.index.dtype == "int64" else [0]
    return len(numbers) >= _MANY_ROWS and bool(np.all(steps == 1))
