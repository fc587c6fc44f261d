"""Builds the data module and the model of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pipelines.fashion_mnist import LABELS, Arrays
from tfd2l.book.data import FashionMNIST, SyntheticRegressionData
from tfd2l.book.models.linear import LinearRegression, LinearRegressionScratch
from tfd2l.book.models.mlp import MLP, MLPScratch
from tfd2l.book.models.softmax import SoftmaxRegression, SoftmaxRegressionScratch
from tfd2l.book.module import Module

__all__ = ["Data", "make_data", "make_model"]

# The true parameters of the synthetic data, as in the book's section 3.4.
TRUE_W, TRUE_B = (2.0, -3.4), 4.2
Data: TypeAlias = FashionMNIST | SyntheticRegressionData


def make_data(
    arrays: Arrays | None,
    batch_size: int,
    resize: tuple[int, int],
    seed: int,
    say: Callable[[str], object],
) -> Data:
    """The data module of a run: Fashion-MNIST or, without `arrays`, synthetic regression data."""
    if arrays is None:
        say(f"data: 1,000 + 1,000 made-up examples of y = Xw + b, w = {TRUE_W}, b = {TRUE_B}")
        return SyntheticRegressionData(TRUE_W, TRUE_B, batch_size=batch_size, seed=seed)
    say(f"data: Fashion-MNIST from {arrays.source}")
    return FashionMNIST(batch_size, resize, seed=seed, arrays=arrays)


def make_model(name: str, resize: tuple[int, int], num_hiddens: int, lr: float) -> Module:
    """The model that a run's settings name, with fresh parameters."""
    inputs, outputs = resize[0] * resize[1], len(LABELS)
    makers: dict[str, Callable[[], Module]] = {
        "linear-scratch": lambda: LinearRegressionScratch(len(TRUE_W), lr),
        "linear": lambda: LinearRegression(lr),
        "softmax-scratch": lambda: SoftmaxRegressionScratch(inputs, outputs, lr),
        "softmax": lambda: SoftmaxRegression(outputs, lr),
        "mlp-scratch": lambda: MLPScratch(inputs, outputs, num_hiddens, lr),
        "mlp": lambda: MLP(outputs, num_hiddens, lr),
    }
    return makers[name]()
