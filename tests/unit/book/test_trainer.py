"""The trainer: equal results in all modes, and exact metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, blobs, points
from tfd2l.book.devices import DeviceError
from tfd2l.engine.errors import StepError
from tfd2l.engine.passes.indexed import IndexedPass
from tfd2l.engine.tracing.graphs import WORTHWHILE_STEPS


@pytest.mark.parametrize("mode", MODES)
def test_one_step_is_as_worked_by_hand(mode: str) -> None:
    # x = (1, 2), y = (2, 4), w = 0: loss (4 + 16) / 4 = 5, gradient -(1*2 + 2*4) / 2 = -5.
    model = Line(lr=0.1)
    history = d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(points(2, 2)))
    assert model.w.numpy() == pytest.approx(0.5)
    assert history["train_loss"] == [5.0]


@pytest.mark.parametrize("mode", MODES)
def test_the_smaller_last_batch_is_trained_on_and_weighted_by_its_size(mode: str) -> None:
    # At lr ~ 0 the losses are those of w = 0: y^2 / 2 = 2, 8 | 18. Mean over batches of sizes
    # 2 and 1: (5 * 2 + 18 * 1) / 3 = 28 / 3; an unweighted mean would be 11.5.
    history = d2l.Trainer(1, **MODES[mode]).fit(Line(lr=1e-12), Loaders(points(3, 2), points(3, 2)))
    assert history["train_loss"][0] == pytest.approx(28 / 3, rel=1e-6)
    assert history["val_loss"][0] == pytest.approx(28 / 3, rel=1e-6)


@pytest.mark.slow
def test_all_modes_and_kinds_of_loader_give_the_same_losses() -> None:
    def fit(mode: str, loaders: Loaders) -> pd.DataFrame:
        history = d2l.Trainer(3, **MODES[mode]).fit(Line(lr=0.01), loaders)
        return pd.DataFrame(history).drop(columns="seconds")

    def streamed(n: int, batch_size: int) -> tf.data.Dataset:
        return points(n, batch_size).map(lambda X, y: (X, y))

    def generated() -> Iterator[Any]:
        yield from points(11, 4).as_numpy_iterator()

    expected = fit("eager", Loaders(points(11, 4), points(7, 4)))
    for mode in MODES:
        for loaders in (
            Loaders(points(11, 4), points(7, 4)),
            Loaders(streamed(11, 4), streamed(7, 4)),
            Loaders(generated, lambda: list(points(7, 4))),
        ):
            # Sums of eleven float32 products, in an order that the compiler may change.
            pd.testing.assert_frame_equal(fit(mode, loaders), expected, rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_shuffled_epochs_have_fresh_orders_that_all_modes_share(mode: str) -> None:
    seen: list[float] = []

    class Watching(d2l.Trainer):
        def prepare_batch(self, batch: Any) -> Any:
            model.plot("first_x", batch[0][0, 0], train=True)
            return batch

    class Keep(d2l.Callback):
        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            seen.append(row["train_first_x"])

    model = Line(lr=1e-12)
    loader = points(12, 3, shuffle=True)
    Watching(3, **MODES[mode], callbacks=[Keep()]).fit(model, Loaders(loader))
    orders = [loader.indexed_batches.order(epoch).numpy() + 1 for epoch in range(3)]
    assert seen == pytest.approx([order[::3].mean() for order in orders])
    assert len({*seen}) > 1


# 64 examples: batches of 4, or of 5 and a last one of 4.
@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param(4, marks=pytest.mark.long), 5])
def test_by_default_a_long_fit_changes_to_xla_and_ends_as_a_graph_does(size: int) -> None:
    def fit(**mode: Any) -> tuple[d2l.Trainer, list[float]]:
        keras.utils.set_random_seed(0)
        loader = batched(blobs(), size, shuffle=True)
        trainer = d2l.Trainer(2 + WORTHWHILE_STEPS // (64 // size), **mode)
        history = trainer.fit(d2l.MLP(3, 8, lr=0.01), Loaders(loader, loader))
        return trainer, history["val_loss"]

    trainer, losses = fit()
    graph, expected = fit(jit_compile=False)
    assert kinds_of_loop(trainer) == {False, True}
    assert kinds_of_loop(graph) == {False}
    # A thousand steps of float32 sums that XLA adds up in another order.
    assert losses == pytest.approx(expected, rel=1e-3)
    assert fit()[1] == losses


@pytest.mark.slow
def test_by_default_xla_runs_neither_short_fits_nor_random_numbers() -> None:
    class Noisy(d2l.MLP):
        def forward(self, X: tf.Tensor) -> tf.Tensor:
            return super().forward(X + tf.random.normal(tf.shape(X), stddev=0.1))

    epochs = 2 + WORTHWHILE_STEPS // 16
    for make, max_epochs in ((d2l.MLP, 3), (Noisy, epochs), (LearntDropout, epochs)):
        trainer = d2l.Trainer(max_epochs)
        loader = batched(blobs(), 4, shuffle=True)
        trainer.fit(make(3, 8, lr=0.01), Loaders(loader))
        assert kinds_of_loop(trainer) == {False}, make


class LearntDropout(d2l.MLP):
    """The concise MLP with Keras' own Dropout before it."""

    def __init__(self, num_outputs: int, num_hiddens: int, lr: float) -> None:
        super().__init__(num_outputs, num_hiddens, lr)
        self.drop = keras.layers.Dropout(0.2)

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        return super().forward(self.drop(X))


def kinds_of_loop(trainer: d2l.Trainer) -> set[bool]:
    """Return the set of the training loops' `jit_compile`."""
    loops = trainer._train_loader.passes(trainer._train_step, trainer.max_epochs)
    assert isinstance(loops, IndexedPass)
    return {*loops._loops}


def test_class_ids_out_of_range_are_refused_also_in_fits_that_change_to_xla() -> None:
    X, y = blobs()
    y = np.where(np.arange(len(y)) == 50, 3, y)
    for model in (d2l.MLP(3, 8, lr=0.01), d2l.SoftmaxRegressionScratch(8, 3, lr=0.01)):
        with pytest.raises(StepError, match=r"steps? .* of epoch 1.*\b3 .*\[0, 3\)"):
            d2l.Trainer(500).fit(model, Loaders(batched((X, y), 16, shuffle=True)))


def test_a_fit_of_several_epochs_traces_each_kind_of_batch_once() -> None:
    trainer = d2l.Trainer(5)
    trainer.fit(Line(lr=0.001), Loaders(points(11, 4), points(7, 4)))
    # Training and validation, each for full batches and for the smaller last one.
    assert trainer.num_traces == 4


@pytest.mark.slow
def test_the_board_has_the_same_points_in_every_mode() -> None:
    def curves(mode: str) -> Any:
        model = Line(lr=0.01)
        d2l.Trainer(2, **MODES[mode]).fit(model, Loaders(points(11, 2), points(5, 2)))
        return {
            label: [(point.x, round(point.y, 3)) for point in curve]
            for label, curve in model.board.data.items()
        }

    compiled = curves("compiled")
    assert compiled == curves("eager") == curves("xla")
    # Six steps an epoch and two points: the mean positions of three steps each, in epochs.
    assert [x for x, _ in compiled["train_loss"]] == pytest.approx([1 / 6, 4 / 6, 7 / 6, 10 / 6])
    assert [x for x, _ in compiled["val_loss"]] == [1, 2]


def test_gradients_are_clipped_to_the_given_norm() -> None:
    model = Line(lr=1.0)
    # The gradient of the first test is -5; clipped to norm 1 the step is exactly 1.
    d2l.Trainer(1, gradient_clip_val=1).fit(model, Loaders(points(2, 2)))
    assert model.w.numpy() == pytest.approx(1.0)


@pytest.mark.slow
def test_data_of_unknown_length_is_counted_in_the_first_epoch() -> None:
    loader = points(11, 4).filter(lambda X, y: True)
    assert loader.cardinality() == tf.data.UNKNOWN_CARDINALITY
    model, trainer = Line(lr=0.001), d2l.Trainer(2)
    history = trainer.fit(model, Loaders(loader, loader))
    assert (trainer.num_train_batches, trainer.num_val_batches) == (3, 3)
    known = Line(lr=0.001)
    expected = d2l.Trainer(2).fit(known, Loaders(points(11, 4), points(11, 4)))
    assert history["val_loss"] == pytest.approx(expected["val_loss"])
    assert [p.x for p in model.board.data["train_loss"]] == pytest.approx(
        [p.x for p in known.board.data["train_loss"]]
    )


def test_without_validation_data_there_are_no_validation_columns() -> None:
    assert [*d2l.Trainer(1).fit(Line(), Loaders(points(2, 2)))] == [
        "epoch",
        "train_loss",
        "seconds",
    ]


def test_the_history_is_a_table_with_a_row_for_each_epoch() -> None:
    table = pd.DataFrame(d2l.Trainer(3).fit(Line(lr=0.01), Loaders(points(4, 2), points(4, 2))))
    assert list(table) == ["epoch", "train_loss", "val_loss", "seconds"]
    assert list(table["epoch"]) == [1, 2, 3]
    assert (table["seconds"] > 0).all()


def test_eager_steps_and_xla_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        d2l.Trainer(1, run_eagerly=True, jit_compile=True)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_missing_gpu_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeviceError, match=r"sees none.*num_gpus=0.*and-cuda"):
        d2l.Trainer(1, num_gpus=1)


def test_endless_and_empty_data_are_refused() -> None:
    with pytest.raises(ValueError, match=r"without end.*dataset\.take"):
        d2l.Trainer(1).fit(Line(), Loaders(points(2, 2).repeat()))
    with pytest.raises(ValueError, match="no batches"):
        d2l.Trainer(1).fit(Line(), Loaders(points(2, 2).filter(lambda X, y: False)))


def test_a_second_fit_draws_its_own_curves_only() -> None:
    model, data = Line(lr=0.01), Loaders(points(4, 2))
    for _ in range(2):
        d2l.Trainer(3).fit(model, data)
        assert len(model.board.data["train_loss"]) == 6


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_nearly_like_float32(policy: str) -> None:
    def fit() -> list[float]:
        keras.utils.set_random_seed(0)
        model = d2l.MLP(3, 16, lr=0.1)
        loader = batched(blobs(), 16, shuffle=True)
        history = d2l.Trainer(3).fit(model, Loaders(loader, loader))
        assert all(v.dtype == "float32" for v in model.trainable_variables)
        return history["val_loss"]

    exact = fit()
    keras.config.set_dtype_policy(policy)
    try:
        mixed = fit()
        refused = pytest.raises(ValueError, match="global_clipnorm")
        with refused if policy == "mixed_float16" else contextlib.nullcontext():
            d2l.Trainer(1, gradient_clip_val=1).fit(
                d2l.MLP(3, 16, lr=0.1), Loaders(batched(blobs(), 16, shuffle=True))
            )
    finally:
        keras.config.set_dtype_policy("float32")
    # bfloat16 has 8 bits of mantissa: 0.4 % a product, over three epochs of four steps.
    assert mixed == pytest.approx(exact, rel=0.02)
    assert mixed != exact


def test_objects_that_are_no_model_or_no_data_module_are_refused_by_type() -> None:
    data = Loaders(batched(blobs(), 32, shuffle=True))
    with pytest.raises(TypeError, match="the model given is a Dense, which has no training_step"):
        d2l.Trainer(1).fit(keras.layers.Dense(1), data)
    with pytest.raises(TypeError, match=r"the data given is a .*Dataset, which has no train_data"):
        d2l.Trainer(1).fit(Line(), data.train_dataloader())
