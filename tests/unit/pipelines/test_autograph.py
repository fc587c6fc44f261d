"""Unconverted functions may not branch on tensors; user code that they call still may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.basics.autograph import do_not_convert
from pipelines.batching import batched
from tfd2l.engine.history import History


def halved_when_positive(x: tf.Tensor) -> tf.Tensor:
    """Branches on a tensor, which a graph allows only after AutoGraph's conversion."""
    if tf.reduce_sum(x) > 0:
        return x / 2
    return x


def test_an_unconverted_function_may_not_branch_on_tensors_in_a_graph() -> None:
    x = tf.constant(4.0)
    assert tf.function(lambda x: halved_when_positive(x))(x) == 2
    assert do_not_convert(halved_when_positive)(x) == 2
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        tf.function(lambda x: do_not_convert(halved_when_positive)(x))(x)


def test_an_unconverted_function_keeps_its_name_and_docstring() -> None:
    function = do_not_convert(halved_when_positive)
    assert (function.__name__, function.__doc__) == (
        halved_when_positive.__name__,
        halved_when_positive.__doc__,
    )


class Optimizer(d2l.SGD):
    def apply_gradients(self, grads_and_vars: Any) -> None:
        super().apply_gradients((halved_when_positive(g), v) for g, v in grads_and_vars)


class EveryHook(d2l.SoftmaxRegressionScratch):
    """Every hook that a reader may override, each with a branch on a tensor."""

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        return halved_when_positive(super().forward(X))

    def loss(self, Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
        return halved_when_positive(super().loss(Y_hat, Y, averaged))

    def accuracy(self, Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
        return halved_when_positive(super().accuracy(Y_hat, Y, averaged))

    def training_step(self, batch: Any) -> tf.Tensor:
        return halved_when_positive(super().training_step(batch))

    def validation_step(self, batch: Any) -> None:
        super().validation_step(batch)
        self.plot("halved", halved_when_positive(tf.constant(4.0)), train=False)

    def configure_optimizers(self) -> Optimizer:
        return Optimizer(self.lr)


class Hooked(d2l.Trainer):
    def prepare_batch(self, batch: Any) -> Any:
        return halved_when_positive(batch[0]), batch[1]

    def clip_gradients(self, grad_clip_val: float, grads: Any) -> Any:
        return [halved_when_positive(g) for g in super().clip_gradients(grad_clip_val, grads)]


class Blobs(d2l.DataModule):
    def get_dataloader(self, train: bool) -> Any:
        rng = np.random.default_rng(0)
        y = np.arange(24, dtype=np.int32) % 3
        X = rng.normal(y[:, None], 1, (24, 4)).astype(np.float32)
        return batched((X, y), 8, shuffle=train)


@pytest.mark.slow
def test_autograph_converts_every_hook_that_a_reader_overrides() -> None:
    def fit(**mode: Any) -> History:
        tf.random.set_seed(0)
        trainer = Hooked(2, gradient_clip_val=1, **mode)
        return trainer.fit(EveryHook(4, 3, lr=0.5), Blobs())

    compiled, expected = fit(run_eagerly=False, jit_compile=False), fit(run_eagerly=True)
    for name in ("train_loss", "val_loss", "val_acc"):
        # Float32 in another order.
        assert compiled[name] == pytest.approx(expected[name], rel=1e-4)
    assert compiled["val_halved"] == [2, 2]
