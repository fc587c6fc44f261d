"""The house prices of the Kaggle competition as a data module, and its folds. D2L 5.7."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from pipelines import house_prices
from pipelines.basics.numbers import whole_number
from pipelines.outputs import NumberOutput
from pipelines.raw_inputs import TableInput
from pipelines.tables.batches import dataset
from pipelines.tables.graph import table_input
from pipelines.tables.loading import identity
from pipelines.tables.preparation import numbers_of
from pipelines.tables.rows import rows_for
from tfd2l.book.data import DataModule
from tfd2l.book.downloads import DATA_URL, download

__all__ = ["TEST_FILE", "TEST_SHA1", "TRAIN_FILE", "TRAIN_SHA1", "KaggleHouse"]

# The book's copies of the competition's files, and their SHA-1.
TRAIN_FILE = "kaggle_house_pred_train.csv"
TRAIN_SHA1 = "585e9cc93e70b39160e7921475f9bcd7d31219ce"
TEST_FILE = "kaggle_house_pred_test.csv"
TEST_SHA1 = "fa19780a7b011d9b009e8bff8e99922a8ee2eb90"


class KaggleHouse(DataModule):
    """Houses with 79 features each, and the logarithms of their prices.

    The training rows alone give the means, deviations and categories, so that nothing is learned
    from the houses of the validation.

    Attributes:
        raw_train: training rows as text.
        raw_val: validation rows, or the competition's test rows, which have no prices.
        statistics: means, deviations and categories of the training rows.
        train: training rows as numbers.
        val: the other rows as numbers, or None.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame(
        ...     {"Id": ["1", "2", "3"], "LotArea": ["1", "2", "3"], "SalePrice": ["1", "1", "2"]}
        ... )
        >>> data = d2l.KaggleHouse(batch_size=2, train=rows)
        >>> for X, y in data.train_dataloader():
        ...     print(X.shape, y.shape)
        (2, 1) (2, 1)
        (1, 1) (1, 1)

    Source: D2L 5.7.2.
    """

    root: str | Path

    def __init__(
        self,
        batch_size: int,
        train: pd.DataFrame | None = None,
        val: pd.DataFrame | None = None,
        root: str | Path = "../data",
        seed: int = 0,
    ) -> None:
        """Prepare the given rows, or those of the competition's files.

        Args:
            batch_size: houses in a batch.
            train: training rows as text, as `pipelines.house_prices.read` returns them; None means
                the competition's training and test files in `root`, which are downloaded if they
                are missing.
            val: further rows, with or without prices.
            root: the directory of the files.
            seed: a whole number of at least 0, from which the order of each epoch derives.

        Raises:
            ValueError: `val` is given without `train`, or a number is out of range.
            DownloadError: the files are missing and can't be downloaded.
            TableError: the rows are damaged, or are not of these houses.
        """
        super().__init__(root)
        batch_size = whole_number("batch_size", batch_size)
        seed = whole_number("seed", seed, minimum=0)
        self.save_hyperparameters(ignore=["train", "val"])
        if train is None and val is not None:
            raise ValueError("validation rows need training rows as well; give both.")
        if train is None:
            train = house_prices.read(download(DATA_URL + TRAIN_FILE, root, TRAIN_SHA1))
            val = house_prices.read(download(DATA_URL + TEST_FILE, root, TEST_SHA1))
        self.raw_train, self.raw_val = train, val
        self.statistics = house_prices.learn(train)
        self.train = house_prices.apply(train, self.statistics)
        self.val = None if val is None else house_prices.apply(val, self.statistics)

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        """Make batches of (k, d) float32 inputs and (k, 1) float32 log prices.

        Returns None if there are no such rows, or no prices.
        """
        rows = self.train if train else self.val
        if rows is None or rows.log_prices is None:
            return None
        return dataset(
            rows.inputs,
            rows.log_prices,
            self.batch_size,
            shuffle=train,
            seed=self.seed,
            sequence=self.next_sequence() if train else 0,
        )

    def raw_input(self) -> TableInput:
        """The 79 features as a client has them, and their preparation."""
        return table_input(self.statistics)

    def output(self) -> NumberOutput:
        """A price in dollars, from its logarithm."""
        return NumberOutput(restore=tf.exp)

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """Columns of validation rows, or of training rows if the others have no prices.

        The targets are prices in dollars, (n,) float64.
        """
        is_known = self.val is not None and self.val.log_prices is not None
        rows = (self.raw_val if self.raw_val is not None and is_known else self.raw_train)[:limit]
        prices = numbers_of(rows[house_prices.TARGET]).to_numpy()
        return rows_for(rows, self.statistics.raw_columns), prices

    def describe(self) -> dict[str, Any]:
        """Name, seed, and the hashes of the rows."""
        rows = {"train": self.raw_train, "val": self.raw_val}
        found = {name: None if one is None else identity(one) for name, one in rows.items()}
        return super().describe() | {"rows": len(self.raw_train)} | found

    def folds(self, k: int) -> Iterator[KaggleHouse]:
        """Split the training rows k times into training and validation rows.

        Args:
            k: from 2 to the number of training rows.

        Source: D2L 5.7.4.
        """
        for train, val in house_prices.folds(self.raw_train, k):
            yield KaggleHouse(self.batch_size, train, val, root=self.root, seed=self.seed)
