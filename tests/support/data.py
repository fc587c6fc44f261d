"""Data modules that several test files train on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

import tfd2l as d2l


def regression_data(
    num_train: int = 8, num_val: int = 8, batch_size: int = 32
) -> d2l.SyntheticRegressionData:
    """Return examples of linear regression with the book's parameters."""
    return d2l.SyntheticRegressionData(
        [2, -3.4], 4.2, num_train=num_train, num_val=num_val, batch_size=batch_size
    )


class Loaders(d2l.DataModule):
    """Two given loaders, or functions that make them."""

    def __init__(self, train: Any, val: Any = None) -> None:
        super().__init__()
        self._loaders = {True: train, False: val}

    def get_dataloader(self, train: bool) -> Any:
        loader = self._loaders[train]
        return loader() if callable(loader) and not isinstance(loader, tf.data.Dataset) else loader
