"""The house prices of the Kaggle competition as a data module, and its folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import tensorflow as tf

from pipelines import house_prices
from pipelines.basics.numbers import whole_number
from pipelines.tables import dataset
from tfd2l.book.data import DataModule
from tfd2l.book.downloads import DATA_URL, download

# The book's copies of the competition's files, and their SHA-1.
TRAIN_FILE, TRAIN_SHA1 = "kaggle_house_pred_train.csv", "585e9cc93e70b39160e7921475f9bcd7d31219ce"
TEST_FILE, TEST_SHA1 = "kaggle_house_pred_test.csv", "fa19780a7b011d9b009e8bff8e99922a8ee2eb90"


class KaggleHouse(DataModule):
    """Houses with 79 features each, and the logarithms of their prices.

    Numbers are standardised and categories found by the training rows alone, so that validation
    is on houses that nothing was learnt from.

    Attributes:
        raw_train: training rows as text.
        raw_val: rows to validate on, or the competition's test rows, which have no prices.
        train: training rows as numbers.
        val: the other rows as numbers.

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
        """Take the rows given, or read the competition's files.

        Args:
            batch_size: houses in a batch.
            train: training rows as text, as `pipelines.house_prices.read` gives them; without
                them, the competition's training and test files are taken from `root`, and
                fetched when they are not there.
            val: further rows, with or without prices.
            root: the directory of the files.
            seed: what the order of each epoch derives from.

        Raises:
            ValueError: `val` without `train`, or a number out of range.
            DownloadError: the files are not there and can't be fetched.
            TableError: the rows are not what they should be.
        """
        super().__init__(root)
        batch_size = whole_number("batch_size", batch_size)
        seed = whole_number("seed", seed, minimum=0)
        self.save_hyperparameters(ignore=["train", "val"])
        if train is None and val is not None:
            raise ValueError("there are rows to validate on without training rows; give both.")
        if train is None:
            train = house_prices.read(download(DATA_URL + TRAIN_FILE, root, TRAIN_SHA1))
            val = house_prices.read(download(DATA_URL + TEST_FILE, root, TEST_SHA1))
        self.raw_train, self.raw_val = train, val
        self.statistics = house_prices.learn(train)
        self.train = house_prices.apply(train, self.statistics)
        self.val = None if val is None else house_prices.apply(val, self.statistics)

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        """Batches of ((n, d) float32, (n, 1) float32 log prices), or None without prices."""
        rows = self.train if train else self.val
        if rows is None or rows.log_prices is None:
            return None
        return dataset(rows.inputs, rows.log_prices, self.batch_size, shuffle=train, seed=self.seed)

    def folds(self, k: int) -> Iterator[KaggleHouse]:
        """The training rows split k times into training and validation rows.

        Source: D2L 5.7.4.
        """
        for train, val in house_prices.folds(self.raw_train, k):
            yield KaggleHouse(self.batch_size, train, val, root=self.root, seed=self.seed)
