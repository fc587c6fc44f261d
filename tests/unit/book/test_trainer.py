"""The trainer: equal results in all modes, exact metrics, and hooks in compiled steps."""

from __future__ import annotations

import contextlib
import warnings
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
from tfd2l.book.devices import DeviceError
from tfd2l.engine.errors import CompileError, StepError
from tfd2l.engine.graphs import WORTHWHILE_STEPS
from tfd2l.engine.passes import IndexedPass

MODES: dict[str, dict[str, Any]] = {
    "compiled": {"run_eagerly": False, "jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


class Line(d2l.Module):
    """y = w x, whose gradient is worked by hand below."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.w = tf.Variable([[0.0]])

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        return X @ self.w

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean((y_hat - y) ** 2) / 2

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(self.hparams["lr"])


def points(n: int, batch_size: int, shuffle: bool = False) -> tf.data.Dataset:
    """X = 1, 2, ..., n and y = 2x, as columns."""
    x = np.arange(1, n + 1, dtype=np.float32)[:, None]
    return batched([x, 2 * x], batch_size, shuffle=shuffle)


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
@pytest.mark.parametrize("size", [4, 5])
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


def test_methods_patched_in_later_take_effect_at_the_next_fit() -> None:
    class Patched(Line):
        pass

    model, data = Patched(lr=1e-12), Loaders(points(2, 2))
    trainer = d2l.Trainer(1)
    assert trainer.fit(model, data)["train_loss"][0] == pytest.approx(5)

    @d2l.add_to_class(Patched)
    def loss(self: Any, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.abs(y_hat - y))

    assert trainer.fit(model, data)["train_loss"][0] == pytest.approx(3)


@pytest.mark.parametrize("mode", MODES)
def test_overridden_steps_run_and_the_history_has_their_plots(mode: str) -> None:
    class Custom(Line):
        def training_step(self, batch: Any) -> tf.Tensor:
            X, y = batch
            self.plot("largest_x", tf.reduce_max(X), train=True)
            return 10 * self.loss(self(X), y)

        def validation_step(self, batch: Any) -> None:
            self.plot("twice", 2 * tf.reduce_mean(batch[1]), train=False)

    model = Custom(lr=1e-12)
    history = d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(points(4, 2), points(2, 2)))
    # Losses of batches (1, 2) and (3, 4) at w = 0: 10 * 5 and 10 * (36 + 64) / 4.
    assert history["train_loss"] == [pytest.approx(150)]
    assert history["train_largest_x"] == [3.0]
    assert history["val_twice"] == [6.0]
    assert {label: len(curve) for label, curve in model.board.data.items()} == {
        "train_largest_x": 2,
        "val_twice": 1,
    }


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


class Layers(d2l.Classifier):
    """Dropout and batch normalisation, nested in a list and a dict."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.blocks = [
            keras.Sequential([keras.layers.Flatten(), keras.layers.BatchNormalization()]),
            {"drop": keras.layers.Dropout(0.5), "out": keras.layers.Dense(3)},
        ]

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        H = self.blocks[0](X)
        dropped = self.blocks[1]["drop"](H)
        zeros = tf.reduce_mean(tf.cast(dropped == 0, tf.float32))
        if getattr(self, "trainer", None) is not None:
            self.plot("zeros", zeros, train=self.training)
        return self.blocks[1]["out"](dropped)


def blobs(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n, dtype=np.int32) % 3
    return np.random.default_rng(0).normal(y[:, None], 1, (n, 8)).astype(np.float32), y


@pytest.mark.parametrize("mode", MODES)
def test_training_reaches_dropout_and_batch_normalisation(mode: str) -> None:
    model = Layers()
    loader = batched(blobs(), 16, shuffle=False)
    history = d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(loader, loader))
    assert 0.4 < history["train_zeros"][0] < 0.6
    assert history["val_zeros"][0] == 0
    averages = {v.path.split("/")[-1]: v.numpy() for v in model.non_trainable_variables}
    # Each of the four training steps moves them by a hundredth of the way; validation does not.
    batch_means = [X.numpy().mean(axis=0) for X, _ in loader]
    expected = np.zeros(8)
    for mean in batch_means:
        expected = 0.99 * expected + 0.01 * mean
    np.testing.assert_allclose(averages["moving_mean"], expected, rtol=1e-4)


def test_training_moves_every_parameter_of_nested_layers() -> None:
    model = Layers()
    model(tf.ones((1, 8)))
    before = [variable.numpy() for variable in model.trainable_variables]
    assert len(before) == 4
    d2l.Trainer(1).fit(model, Loaders(batched(blobs(), 16, shuffle=True)))
    for old, variable in zip(before, model.trainable_variables, strict=True):
        assert (old != variable.numpy()).any(), variable


def test_a_step_that_cannot_be_traced_runs_eagerly_with_one_warning() -> None:
    class Untraceable(Line):
        def training_step(self, batch: Any) -> tf.Tensor:
            loss = super().training_step(batch)
            self.last = loss.numpy()
            return loss

    model = Untraceable()
    with pytest.warns(UserWarning, match="training_step can't be compiled and runs eag") as caught:
        history = d2l.Trainer(2).fit(model, Loaders(points(4, 2), points(4, 2)))
    assert len(caught) == 1
    assert model.last == pytest.approx(history["train_loss"][1], rel=1)
    with pytest.raises(CompileError, match="'numpy'"):
        d2l.Trainer(1, run_eagerly=False).fit(model, Loaders(points(4, 2)))


def test_a_bug_in_a_step_raises_its_own_error_without_a_warning() -> None:
    class Buggy(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return y_hat.no_such_attribute

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AttributeError, match="no_such_attribute"):
            d2l.Trainer(1).fit(Buggy(), Loaders(points(2, 2)))


def test_control_flow_on_tensors_in_a_step_is_compiled() -> None:
    class Branching(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            if tf.reduce_sum(y) > 100:
                return tf.reduce_mean(y_hat - y)
            return tf.reduce_mean((y_hat - y) ** 2) / 2

    history = d2l.Trainer(1, run_eagerly=False).fit(Branching(lr=1e-12), Loaders(points(2, 2)))
    assert history["train_loss"] == [5.0]


class OwnLoop(d2l.Trainer):
    """An eager loop of one's own, as in the book."""

    def fit_epoch(self) -> None:
        self.model.training = True
        for batch in self.train_dataloader:
            with tf.GradientTape() as tape:
                loss = self.model.training_step(self.prepare_batch(batch))
            gradients = tape.gradient(loss, self.model.trainable_variables)
            self.optim.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.training = False
        for batch in self.val_dataloader:
            self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1


def test_an_overridden_fit_epoch_trains_as_the_trainers_own() -> None:
    data = Loaders(points(8, 2), points(4, 2))
    own, ours = Line(lr=0.01), Line(lr=0.01)
    history = OwnLoop(3).fit(own, data)
    expected = d2l.Trainer(3).fit(ours, data)
    np.testing.assert_allclose(own.w, ours.w, rtol=1e-6)
    assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-6)


def test_an_overridden_fit_epoch_works_with_generators_and_without_validation() -> None:
    class Generated(d2l.DataModule):
        def get_dataloader(self, train: bool) -> Any:
            return iter([*points(8, 2)]) if train else None

    own, ours = Line(lr=0.01), Line(lr=0.01)
    history = OwnLoop(3).fit(own, Generated())
    d2l.Trainer(3).fit(ours, Generated())
    assert np.isfinite(history["train_loss"]).all()
    np.testing.assert_allclose(own.w, ours.w, rtol=1e-6)
    # The loop left training on; after the fit it is off.
    assert own.training is False


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


def test_loss_of_shape_one_trains_like_a_scalar() -> None:
    class Shaped(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return tf.reshape(super().loss(y_hat, y), (1,))

    model = Shaped(lr=0.1)
    assert d2l.Trainer(1).fit(model, Loaders(points(2, 2)))["train_loss"] == [5.0]
    assert model.w.numpy() == pytest.approx(0.5)


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


def test_a_loss_that_depends_on_no_parameter_is_refused() -> None:
    class Detached(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(y)

    with pytest.raises(ValueError, match="depends on none of the 1 trainable variables"):
        d2l.Trainer(1).fit(Detached(), Loaders(points(2, 2)))


def test_a_second_fit_draws_its_own_curves_only() -> None:
    model, data = Line(lr=0.01), Loaders(points(4, 2))
    for _ in range(2):
        d2l.Trainer(3).fit(model, data)
        assert len(model.board.data["train_loss"]) == 6


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


def test_plot_without_a_trainer_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="plot needs a trainer"):
        Line().plot("loss", tf.constant(1.0), train=True)


def test_a_loss_of_several_numbers_is_refused() -> None:
    class Several(Line):
        def training_step(self, batch: Any) -> Any:
            return tf.stack([super().training_step(batch)] * 3)

    with pytest.raises(ValueError, match=r"Several\.training_step returned a loss of shape \(3,\)"):
        d2l.Trainer(1).fit(Several(lr=0.01), Loaders(points(8, 2)))


def test_objects_that_are_no_model_or_no_data_module_are_refused_by_type() -> None:
    data = Loaders(batched(blobs(), 32, shuffle=True))
    with pytest.raises(TypeError, match="the model given is a Dense, which has no training_step"):
        d2l.Trainer(1).fit(keras.layers.Dense(1), data)
    with pytest.raises(TypeError, match=r"the data given is a .*Dataset, which has no train_data"):
        d2l.Trainer(1).fit(Line(), data.train_dataloader())
