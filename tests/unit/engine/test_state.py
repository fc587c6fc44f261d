"""Resuming from a checkpoint: with the same bits, with a warning of lost state, or refused."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint
from tfd2l.engine.errors import CheckpointError, DivergedError
from tfd2l.engine.state import FitState

EPOCHS = 4


class Net(d2l.Module):
    """Two layers and dropout, trained by Adam with a schedule."""

    def __init__(self) -> None:
        super().__init__()
        self.net = keras.Sequential(
            [keras.layers.Dense(4), keras.layers.Dropout(0.3), keras.layers.Dense(1)]
        )

    def loss(self, y_hat: Any, y: Any) -> Any:
        return tf.reduce_mean((y_hat - y) ** 2)

    def configure_optimizers(self) -> Any:
        return keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.9))


class Late(Net):
    """Calls its layers in its steps only, so that calling the model creates no variables."""

    def forward(self, X: Any) -> Any:
        raise NotImplementedError

    def training_step(self, batch: Any) -> Any:
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any) -> None:
        self.plot("loss", self.loss(self.net(batch[0]), batch[1]), train=False)


class InMemory(d2l.SyntheticRegressionData):
    """96 examples to train and 32 to validate on, in batches of 32."""

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__([2, -3.4], 4.2, num_train=96, num_val=32, batch_size=batch_size)


class Streamed(InMemory):
    """The same examples, shuffled by tf.data itself."""

    def get_dataloader(self, train: bool) -> Any:
        rows = slice(0, 96) if train else slice(96, None)
        data = tf.data.Dataset.from_tensor_slices((self.X[rows], self.y[rows]))
        return (data.shuffle(96, seed=1) if train else data).batch(32)


class Generated(InMemory):
    """The same examples from a generator, which yields one pass."""

    def get_dataloader(self, train: bool) -> Iterator[Any]:
        for start in range(0, 96, 32) if train else (96,):
            yield self.X[start : start + 32], self.y[start : start + 32]


class OwnLoop(d2l.Trainer):
    """A trainer with its own loop over the loader."""

    def fit_epoch(self) -> None:
        for batch in self.train_dataloader:
            with tf.GradientTape() as tape:
                loss = self.model.training_step(self.prepare_batch(batch))
            variables = self.model.trainable_variables
            self.optim.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            self.train_batch_idx += 1


class Saves(d2l.Callback):
    """Writes a checkpoint after `epochs` epochs."""

    def __init__(self, folder: Path, epochs: int = 2) -> None:
        self.folder, self.epochs = folder, epochs

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        if trainer.epoch + 1 == self.epochs:
            save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())


def whole_and_resumed(
    model: Callable[[], d2l.Module],
    data: Callable[[], Any],
    folder: Path,
    trainer: type[d2l.Trainer] = d2l.Trainer,
    **mode: Any,
) -> list[d2l.Module]:
    """Return the models of an uninterrupted fit and of one resumed from its checkpoint."""
    keras.utils.set_random_seed(0)
    whole, resumed = model(), model()
    trainer(EPOCHS, callbacks=[Saves(folder)], **mode).fit(whole, data())
    trainer(EPOCHS, **mode).fit(resumed, data(), checkpoints(folder)[0])
    return [whole, resumed]


def same_weights(models: list[d2l.Module]) -> bool:
    one, other = (model.get_weights() for model in models)
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "mode"),
    [
        *itertools.product([InMemory, Streamed, Generated], ["compiled", "eager"]),
        (InMemory, "xla"),
        # XLA takes seconds, and the order of the batches does not depend on it.
        pytest.param(Streamed, "xla", marks=pytest.mark.long),
        pytest.param(Generated, "xla", marks=pytest.mark.long),
    ],
)
def test_a_fit_on_any_kind_of_loader_resumes_with_the_same_bits(
    data: Any, mode: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"compiled": {}, "eager": {"run_eagerly": True}}
    models = whole_and_resumed(Net, data, tmp_path, **settings.get(mode, {"jit_compile": True}))
    assert same_weights(models)
    assert models[0].board.data == models[1].board.data


@pytest.mark.slow
@pytest.mark.parametrize("data", [InMemory, Streamed])
def test_a_trainers_own_loop_resumes_with_the_next_order(data: Any, tmp_path: Path) -> None:
    assert same_weights(whole_and_resumed(Net, data, tmp_path, OwnLoop))


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [InMemory, pytest.param(Streamed, marks=pytest.mark.long), Generated]
)
def test_layers_that_only_the_step_calls_are_built_before_they_are_restored(
    data: Any, tmp_path: Path
) -> None:
    assert same_weights(whole_and_resumed(Late, data, tmp_path))


@pytest.mark.slow
def test_the_error_names_the_remedy_if_layers_cannot_be_built(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    d2l.Trainer(2, callbacks=[Saves(tmp_path)]).fit(Late(), InMemory())
    [path] = checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match=r"call the model on a batch, model\(X\), before"):
        d2l.Trainer(3, run_eagerly=True).fit(Late(), InMemory(), path)


class Counts(d2l.LinearRegressionScratch):
    def __init__(self) -> None:
        super().__init__(2, 0.03)
        self.steps = 0

    def training_step(self, batch: Any) -> Any:
        self.steps += 1
        return super().training_step(batch) / self.steps


class DrawsFromTensorFlow(d2l.LinearRegressionScratch):
    def __init__(self) -> None:
        super().__init__(2, 0.03)

    def forward(self, X: Any) -> Any:
        return super().forward(X + tf.random.normal(tf.shape(X)))


outside = tf.Variable(1.0)


class ChangesAnother(d2l.LinearRegressionScratch):
    def __init__(self) -> None:
        super().__init__(2, 0.03)

    def training_step(self, batch: Any) -> Any:
        outside.assign(outside * 0.9)
        return super().training_step(batch) * outside


LOST: dict[Any, str] = {
    Counts: r"a step keeps state of its own: it changes Counts\.steps",
    DrawsFromTensorFlow: r"a step draws by tf\.random",
    ChangesAnother: "a step changes a variable that is neither the model's nor its optimizer's",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:training_step can't be compiled")
@pytest.mark.parametrize("model", LOST)
def test_a_resumed_fit_warns_of_state_that_checkpoints_do_not_save(
    model: Any, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match=f"may end otherwise.*{LOST[model]}"):
        whole_and_resumed(model, InMemory, tmp_path)


class DrawsLater(d2l.LinearRegressionScratch):
    """Is traced again once `noise` has changed, and then draws."""

    def __init__(self) -> None:
        super().__init__(2, 0.03)
        self.noise = 0.0

    def forward(self, X: Any) -> Any:
        return super().forward(X + tf.random.normal(tf.shape(X)) * self.noise if self.noise else X)


@pytest.mark.slow
def test_a_graph_that_is_traced_again_is_searched_again(tmp_path: Path) -> None:
    class Louder(Saves):
        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            super().on_epoch_end(trainer, row)
            trainer.model.noise = 0.1

    # Writing the first checkpoint searches the first graph; the batches stay of the same kind.
    saves = [Louder(tmp_path, epochs=1), Saves(tmp_path, epochs=2)]
    d2l.Trainer(2, callbacks=saves).fit(DrawsLater(), InMemory())
    with pytest.warns(UserWarning, match=r"may end otherwise.*draws by tf\.random"):
        d2l.Trainer(3).fit(DrawsLater(), InMemory(), checkpoints(tmp_path)[0])


@pytest.mark.slow
def test_a_resumed_fit_warns_of_nothing_if_checkpoints_save_all_state(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole_and_resumed(Net, InMemory, tmp_path)


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    d2l.Trainer(2, callbacks=[Saves(folder)]).fit(d2l.LinearRegression(0.03), InMemory())
    return checkpoints(folder)[0]


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    """A checkpoint of a linear regression after two epochs."""
    return Path(shutil.copy(saved_once, tmp_path))


def refusal(path: Path, model: d2l.Module | None = None, batch_size: int = 32) -> str:
    """Resume from a checkpoint, which must fail and change nothing; return the error."""
    model = d2l.LinearRegression(0.03) if model is None else model
    model(tf.zeros((1, 2)))
    before = model.get_weights()
    with pytest.raises(CheckpointError) as caught:
        d2l.Trainer(3).fit(model, InMemory(batch_size), path)
    assert all(map(np.array_equal, before, model.get_weights()))
    return str(caught.value)


def test_a_file_of_weights_is_refused_as_checkpoint(saved: Path) -> None:
    model = d2l.LinearRegression(0.03)
    model(tf.zeros((1, 2)))
    model.save_weights(saved)
    assert "is not a checkpoint of a fit; model.load_weights reads" in refusal(saved)


def test_another_optimizer_of_the_same_shapes_is_refused(saved: Path) -> None:
    class Other(d2l.LinearRegression):
        def configure_optimizers(self) -> Any:
            return keras.optimizers.Adagrad(0.1)

    assert "is of a fit by SGD; the optimizer here is Adagrad" in refusal(saved, Other(0.03))


def test_data_of_another_length_or_batch_size_is_refused(saved: Path) -> None:
    assert "[3, 1] batches to train and validate on; the data given has [6, 2]" in refusal(
        saved, batch_size=16
    )


STATES: dict[str, Callable[[Any], Any]] = {
    "the whole": lambda state: None,
    "epoch": lambda state: {**state, "epoch": -1},
    "step": lambda state: {**state, "step": "0"},
    "so_far": lambda state: {name: state[name] for name in state if name != "so_far"},
    "board.points": lambda state: {**state, "board": {"points": 3, "waiting": {}}},
    "history": lambda state: {**state, "history": {"epoch": [1.0]}},
    "callbacks": lambda state: {**state, "callbacks": {"EarlyStopping": 3}},
    "more": lambda state: {**state, "more": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("where", STATES)
def test_a_state_of_another_form_is_refused_with_the_wrong_part(where: str, saved: Path) -> None:
    values, about = read_weights(saved)
    found = FitState.from_json(about["state"])
    assert json.loads(json.dumps(found.to_json())) == about["state"]
    write_weights(saved, values, {**about, "state": STATES[where](copy.deepcopy(about["state"]))})
    assert f"{where}: " in refusal(saved)


def test_infinite_or_nan_weights_are_not_saved(saved: Path) -> None:
    model = d2l.LinearRegressionScratch(2, 0.03)
    model.w[0, 0].assign(np.nan)
    pattern = "after 1 epochs and 0 steps the weights of LinearRegressionScratch are"
    with pytest.raises(DivergedError, match=pattern):
        save_checkpoint(saved.parent / "new", model, None, {"epoch": 1, "step": 0})
    assert not checkpoints(saved.parent / "new")
