"""Data modules give a trainer its batches. D2L 3.2.3 and 3.3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import MAX_FLOAT32, real_number, whole_number
from pipelines.batching import batched
from pipelines.outputs import NumberOutput, Output
from pipelines.raw_inputs import FeatureInput, RawInput
from pipelines.synthetic import as_weights, linear_examples
from pipelines.tensors import tensors_in_memory
from tfd2l.book.hyperparameters import HyperParameters

__all__ = ["DataModule", "SyntheticRegressionData"]


class DataModule(HyperParameters):
    """The base class of data: one loader for training, one for validation.

    Each pass over a shuffled loader has a fresh order. So has each shuffled loader that is asked
    for, as by a loop that calls `train_dataloader()` in each epoch; a data module of the same seed
    gives the same sequence of orders. A fit begins with the first order, whatever was asked for
    before.

    Example:
        >>> class Squares(d2l.DataModule):
        ...     batch_size = 3
        ...     def get_dataloader(self, train):
        ...         X = tf.range(4.0)[:, None]
        ...         return self.get_tensorloader((X, X**2), train)
        >>> [X.shape for X, y in Squares().train_dataloader()]
        [TensorShape([3, 1]), TensorShape([1, 1])]

    Source: D2L 3.2.3.
    """

    batch_size: int
    seed: int = 0
    _num_sequences = 0
    _fixed_sequence: int | None = None

    def __init__(self, root: str | Path | None = "../data", num_workers: int = 4) -> None:
        """Save the arguments.

        Args:
            root: the directory of the data.
            num_workers: not used; it is here so that the book's calls work. tf.data sets its own
                parallelism.
        """
        self.save_hyperparameters()

    def get_dataloader(self, train: bool) -> Any:
        """Return the batches for training or validation: tuples of inputs and, last, targets.

        A `tf.data.Dataset`, a `keras.utils.PyDataset`, or another iterable; this method may also
        be a generator, which a fit calls anew in each epoch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no get_dataloader(train); define it.")

    def train_dataloader(self) -> Any:
        """Return the batches for training."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> Any:
        """Return the batches for validation, or None."""
        return self.get_dataloader(train=False)

    def raw_input(self) -> RawInput:
        """Return the form of raw inputs, and their preparation inside an exported graph.

        `d2l.publish` and `python -m tfd2l.train` need it, and the two methods below.
        """
        raise NotImplementedError(_not_published(self, "raw_input()"))

    def output(self) -> Output:
        """Return the names of the classes, or the unit of the numbers, that a model predicts."""
        raise NotImplementedError(_not_published(self, "output()"))

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """Return validation examples, or training examples where there are no others.

        Args:
            limit: the largest number of examples, the first ones; None for all.

        Returns:
            An array for each raw input, (n, ...), by the names of `raw_input().specs`; and the
            targets, (n,): class ids, or numbers in the unit of the data.
        """
        raise NotImplementedError(_not_published(self, "raw_examples(limit)"))

    def describe(self) -> dict[str, Any]:
        """Return JSON values that identify the data, for the records of runs and exports."""
        return {"name": type(self).__name__, "seed": self.seed}

    def next_sequence(self) -> int:
        """The number of the next shuffled loader, from 0: a `sequence` of `pipelines.batching`."""
        if self._fixed_sequence is not None:
            return self._fixed_sequence
        number, self._num_sequences = self._num_sequences, self._num_sequences + 1
        return number

    @contextlib.contextmanager
    def fixed_sequence(self, number: int) -> Iterator[None]:
        """Give the loaders asked for in this context the sequence `number`, as a trainer does."""
        before, self._fixed_sequence = self._fixed_sequence, number
        try:
            yield
        finally:
            self._fixed_sequence = before

    def get_tensorloader(
        self, tensors: Sequence[Any], train: bool, indices: Any = slice(0, None)
    ) -> tf.data.Dataset:
        """Make a data set of batches from examples in memory.

        Args:
            tensors: a tuple or list of tensors, arrays, pandas tables or lists, of any dtype with
                the examples on their first axis, all (n, ...). Arrays that belong together go
                into one call: each call has orders of its own.
            train: if True, give every pass a fresh order.
            indices: the examples to use: a slice, or indices or bools as NumPy takes them.

        Returns:
            A `tf.data.Dataset` of tuples: for each tensor (k, ...) of its dtype, where k is
            `self.batch_size` or, in the last batch, less.

        Raises:
            TypeError: `tensors` is one array, or a dict of them.
            ValueError: the lengths differ, there are no examples, or other objects than numbers
                and texts.

        Source: D2L 3.3.3.
        """
        return batched(
            [tensor.numpy()[indices] for tensor in tensors_in_memory(tensors)],
            self.batch_size,
            shuffle=train,
            seed=self.seed,
            sequence=self.next_sequence() if train else 0,
        )


def _not_published(data: DataModule, method: str) -> str:
    return (
        f"{type(data).__name__} has no {method}, which an export needs; define it, or use a data "
        "module that has it, such as d2l.ImageFolder or d2l.Table."
    )


class SyntheticRegressionData(DataModule):
    """Examples of y = Xw + b + noise, drawn once.

    Attributes:
        X: (num_train + num_val, d) float32; the training examples come first.
        y: (num_train + num_val, 1) float32.
        w: the weights, (d,) or (d, 1) float32.
        b: the bias, a float.

    Example:
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2, num_train=40, num_val=8)
        >>> for X, y in data.train_dataloader():
        ...     print(X.shape, y.shape)
        (32, 2) (32, 1)
        (8, 2) (8, 1)

    Source: D2L 3.3.1.
    """

    num_train: int
    num_val: int

    def __init__(
        self,
        w: Any,
        b: float,
        noise: float = 0.01,
        num_train: int = 1000,
        num_val: int = 1000,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        """Draw the examples.

        Args:
            w: (d,) or (d, 1) weights: numbers of any type.
            b: the bias.
            noise: standard deviation of y about Xw + b, at least 0.
            num_train: training examples, at least 1.
            num_val: validation examples, at least 0.
            batch_size: examples in a batch.
            seed: a whole number of at least 0, for the examples and for the order of each epoch.

        Raises:
            ValueError: a number is out of range.
        """
        super().__init__()
        num_train = whole_number("num_train", num_train)
        num_val = whole_number("num_val", num_val, minimum=0)
        batch_size = whole_number("batch_size", batch_size)
        seed = whole_number("seed", seed, minimum=0)
        self.save_hyperparameters()
        X, y = linear_examples(w, b, noise=noise, num_examples=num_train + num_val, seed=seed)
        self.w, self.b = tf.constant(as_weights(w)), real_number("b", b, minimum=-MAX_FLOAT32)
        self.X, self.y = tf.constant(X), tf.constant(y)

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        """Make batches of (k, d) float32 X and (k, 1) float32 y.

        Returns None for validation if `num_val` is 0.
        """
        if not train and self.num_val == 0:
            return None
        indices = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader((self.X, self.y), train, indices)

    def raw_input(self) -> FeatureInput:
        """The d numbers of an example, as they are."""
        return FeatureInput(int(self.X.shape[1]))

    def output(self) -> NumberOutput:
        """A number, as it is."""
        return NumberOutput()

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """`features`, (n, d) float32, and y, (n,) float32, of the validation."""
        rows = slice(self.num_train if self.num_val else 0, None)
        X, y = self.X.numpy()[rows][:limit], self.y.numpy()[rows][:limit]
        return {"features": X}, np.ravel(y)
