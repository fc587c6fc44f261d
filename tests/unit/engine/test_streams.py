"""Streams of batches: results as from memory, whatever the loader and the batches in a call."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import Line, points
from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint
from tfd2l.engine.errors import DivergedError, LoaderError, StepError
from tfd2l.engine.passes import calls, streamed
from tfd2l.engine.passes.groups import Group, Groups, Kind, one_ahead

Batch = tuple[Any, ...]
X = np.linspace(-2, 2, 50, dtype=np.float32)[:, None]
Y = X**2 + X
TRAIN: list[Batch] = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 50, 4)]  # the last has two
VAL: list[Batch] = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 50, 8)]


class ByIndex(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Given batches in a PyDataset."""

    def __init__(self, batches: list[Batch]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def dataset(batches: list[Batch]) -> tf.data.Dataset:
    """The batches in a data set of known length, whose last batch is smaller."""
    X, Y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(len(batches[0][0]))


STREAMS: dict[str, Callable[[list[Batch]], Any]] = {
    "data set": dataset,
    "unknown length": lambda batches: dataset(batches).filter(lambda X, y: True),
    "limited": lambda batches: dataset(batches).repeat().take(len(batches)),
    "generator": lambda batches: lambda: iter(batches),
    "list": lambda batches: batches,
    "PyDataset": ByIndex,
}


class Calls(d2l.Callback):
    """Notes the number of steps in each call."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Sequence[Any]) -> None:
        self.steps.append(sum(len(each.values) for each in results))


def in_calls_of(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call have so many steps, and XLA pay at once."""
    monkeypatch.setattr(calls.CallSizer, "steps_in_a_call", lambda self: steps)
    monkeypatch.setattr(streamed, "WORTHWHILE_STEPS", 1)


def fitted(data: Any, val: Any = None, *callbacks: d2l.Callback, **settings: Any) -> d2l.Module:
    """A model of one weight, fitted for two epochs."""
    model = Line(0.05)
    module = data if isinstance(data, d2l.DataModule) else Loaders(data, val)
    settings = {"max_epochs": 2, "enable_progress_bar": False, **settings}
    d2l.Trainer(callbacks=callbacks, **settings).fit(model, module)
    return model


class InMemory(d2l.DataModule):
    """The same batches from memory."""

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        return batched((X, Y), 4 if train else 8, shuffle=False)


@functools.cache
def from_memory(jit_compile: bool | None) -> d2l.Module:
    """The model fitted to the same batches in memory."""
    return fitted(InMemory(), jit_compile=jit_compile)


# Without XLA the kernels are the same as in memory; XLA's sums differ in the last bits.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "jit_compile", "rel"),
    [*((kind, False, 0) for kind in STREAMS), ("data set", None, 1e-6)],
)
def test_a_stream_trains_as_the_same_batches_in_memory(
    kind: str, jit_compile: bool | None, rel: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_calls_of(5, monkeypatch)
    count, make = Calls(), STREAMS[kind]
    expected = from_memory(jit_compile)
    found = fitted(make(TRAIN), make(VAL), count, jit_compile=jit_compile)
    before, after = (model.trainer.history for model in (expected, found))
    for name in ("train_loss", "val_loss"):
        assert after[name] == pytest.approx(before[name], rel=rel, abs=0), name
    assert found.board.data.keys() == expected.board.data.keys()
    for label, curve in expected.board.data.items():
        assert [point.x for point in found.board.data[label]] == [point.x for point in curve]
    # 13 batches, of which the last is smaller. Those that come before there is a loop for their
    # kind have a call each.
    assert max(count.steps) == 5
    assert count.steps.count(5) >= 3
    assert sum(count.steps) == 2 * 13


def test_the_number_of_batches_in_a_call_does_not_change_the_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = []
    for steps, settings in ((1, {}), (4, {}), (100, {}), (100, {"steps_per_execution": 3})):
        in_calls_of(steps, monkeypatch)
        weights.append(fitted(STREAMS["generator"](TRAIN), **settings).w.numpy().item())
    assert len({*weights}) == 1


class Draws(Line):
    """Plots the random number that each training step draws."""

    def training_step(self, batch: Batch) -> tf.Tensor:
        self.plot("drawn", tf.random.uniform(()), train=True)
        return super().training_step(batch)


def test_random_numbers_do_not_depend_on_the_number_of_batches_in_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = []
    for steps in (1, 3, 100):
        in_calls_of(steps, monkeypatch)
        keras.utils.set_random_seed(0)
        model = Draws(0.001)
        model.plot_train_per_epoch = 8
        d2l.Trainer(2, run_eagerly=False).fit(model, Loaders(points(8, 1).take(-1)))
        drawn.append([point.y for point in model.board.data["train_drawn"]])
    assert drawn[0] == drawn[1] == drawn[2]
    assert len({*drawn[0]}) == 16


def test_calls_end_at_multiples_of_steps_per_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(100, monkeypatch)
    count = Calls()
    fitted(dataset(TRAIN), None, count, steps_per_execution=5, max_epochs=2, jit_compile=False)
    assert {5, 10, 13, 18, 23, 26} <= {*itertools.accumulate(count.steps)}
    assert count.steps[-4:] == [5, 5, 2, 1]


def test_batches_of_changing_shapes_and_kinds_stay_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_calls_of(10, monkeypatch)
    sizes = [2, 2, 3, 2, 2, 2, 1, 3, 3]
    x = np.arange(1, sum(sizes) + 1, dtype=np.float32)[:, None] / 10
    parts = np.split(x, np.cumsum(sizes)[:-1])
    count = Calls()
    model = Line(0.1)
    trainer = d2l.Trainer(1, callbacks=[count], run_eagerly=False)
    trainer.fit(model, Loaders([(part, 2 * part) for part in parts]))
    w = np.float64(0)
    for part in parts:  # the gradient of mean((w x - 2 x)^2) / 2
        w -= 0.1 * np.mean((w - 2) * part * part)
    assert model.w.numpy() == pytest.approx(w, rel=1e-6)
    assert count.steps == [1, 1, 1, 3, 1, 2]
    assert trainer.num_traces == 3


class Weighted(d2l.Module):
    """y = w x on a dict of inputs, with sample weights."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(0.0)

    def training_step(self, batch: Batch) -> tf.Tensor:
        inputs, weights, y = batch
        return tf.reduce_mean(weights * (inputs["a"] * self.w + inputs["b"] - y) ** 2) / 2

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(0.1)


def test_dicts_and_sample_weights_reach_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(10, monkeypatch)
    a, b, y = np.random.default_rng(0).normal(size=(3, 24)).astype(np.float32)
    weights = np.linspace(0, 1, 24, dtype=np.float32)
    rows = tf.data.Dataset.from_tensor_slices(({"a": a, "b": b}, weights, y)).batch(4)
    model = Weighted()
    d2l.Trainer(2, run_eagerly=False).fit(model, Loaders(rows))
    w = 0.0
    for _ in range(2):
        for i in range(0, 24, 4):
            s = slice(i, i + 4)
            w -= 0.1 * float(np.mean(weights[s] * (a[s] * w + b[s] - y[s]) * a[s]))
    assert float(model.w) == pytest.approx(w, rel=1e-5)


class Sums(d2l.Module):
    """Moves its weight by the mean over the rows' sums."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(0.0)

    def training_step(self, batch: Batch) -> tf.Tensor:
        return self.w * tf.reduce_mean(tf.reduce_sum(batch[0], axis=1))

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(1.0)


def test_ragged_tensors_get_a_call_a_batch() -> None:
    rows = [tf.ragged.constant([[1.0], [2.0, 3.0]]), tf.ragged.constant([[4.0, 5.0], [1.0]])]
    model, count = Sums(), Calls()
    d2l.Trainer(1, callbacks=[count]).fit(model, Loaders([(row, tf.ones(2)) for row in rows]))
    assert float(model.w) == -(3.0 + 5.0)  # the means of 1, 5 and of 9, 1
    assert count.steps == [1, 1]


def failing(error: BaseException) -> Callable[[], Iterator[Batch]]:
    """Five batches of one point, and then an error."""

    def batches() -> Iterator[Batch]:
        for x in (1.0, 0.5, 0.5, 0.5, 0.5):
            yield np.full((1, 1), x, np.float32), np.full((1, 1), 2 * x, np.float32)
        raise error

    return batches


def test_the_batches_before_an_error_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(10, monkeypatch)
    w = 0.2  # after the first step of rate 0.1 on x = 1 and y = 2
    for _ in range(4):
        w += 0.1 * (2 - w) * 0.25
    column = tf.TensorSpec((None, 1), tf.float32)
    generator = failing(KeyError("row 6 has no price"))
    rows = generator()
    unlike = [*(next(rows) for _ in range(5)), None]
    streams: list[tuple[Any, type[Exception], str]] = [
        (generator, KeyError, "row 6 has no price"),
        (
            tf.data.Dataset.from_generator(generator, output_signature=(column, column)),
            LoaderError,
            r"batch 6 of the data can't be read: KeyError: 'row 6 has no price' \(test_streams",
        ),
        (unlike, TypeError, "a batch must be a tuple .* got None"),
    ]
    for stream, kind, message in streams:
        model, count = Line(0.1), Calls()
        trainer = d2l.Trainer(1, callbacks=[count], run_eagerly=False)
        with pytest.raises(kind, match=message):
            trainer.fit(model, Loaders(stream))
        assert model.w.numpy() == pytest.approx(w, rel=1e-6)
        assert sum(count.steps) == trainer.train_batch_idx == 5


def test_ctrl_c_in_a_stream_does_not_wait_for_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(10, monkeypatch)
    model, count = Line(0.1), Calls()
    with pytest.raises(KeyboardInterrupt):
        d2l.Trainer(1, callbacks=[count]).fit(model, Loaders(failing(KeyboardInterrupt())))
    # Weights and counters agree: the batches that were read for the next call are not trained.
    assert count.steps == [1]
    assert model.w.numpy() == pytest.approx(0.2)


def test_a_slow_stream_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(100, monkeypatch)
    clock = iter(np.arange(0, 1000, 0.1))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    found = Groups(iter([(tf.ones((1, 1)),)] * 10))
    kind = found.kind()
    assert kind is not None
    # Asked at 0 s; at 0.1 and 0.2 s there is time for one more, at 0.3 s no longer.
    assert len(found.take(100)) == 3


def group(number: int) -> Group:
    """A group of one batch with a number."""
    batch = (tf.constant([number]),)
    return Group(Kind.of(batch), [batch], fast=False, singly=False)


def numbers(groups: Iterator[Group]) -> Iterator[int]:
    """The numbers of such groups."""
    return (int(group.batches[0][0][0]) for group in groups)


def test_a_group_is_prepared_while_the_one_before_is_in_use() -> None:
    prepared = threading.Event()

    def groups() -> Generator[Group | None]:
        yield group(0)
        yield group(1)
        prepared.set()
        yield None

    found = numbers(one_ahead(groups()))
    assert next(found) == 0
    assert next(found) == 1
    assert prepared.wait(timeout=10)
    assert [*found] == []


def test_the_end_of_an_iterator_is_not_waited_for() -> None:
    used, ended = threading.Event(), threading.Event()

    def groups() -> Generator[Group | None]:
        try:
            yield group(0)
            yield None
        finally:
            used.wait(timeout=10)
            ended.set()

    assert [*numbers(one_ahead(groups()))] == [0]
    assert not ended.is_set()
    used.set()
    assert ended.wait(timeout=10)


def test_groups_that_are_not_taken_are_left() -> None:
    ended = threading.Event()

    def groups() -> Generator[Group | None]:
        try:
            for number in range(100):
                yield group(number)
        finally:
            ended.set()

    found = one_ahead(groups())
    assert next(numbers(found)) == 0
    found.close()  # type: ignore[attr-defined]  # it is a generator
    assert ended.wait(timeout=10)


def test_an_error_comes_after_the_groups_before_it() -> None:
    def groups() -> Generator[Group | None]:
        yield group(0)
        raise KeyError("row 6")

    found = numbers(one_ahead(groups()))
    assert next(found) == 0
    with pytest.raises(KeyError, match="row 6"):
        next(found)


@pytest.mark.parametrize(("kind", "apart"), [("data set", True), ("generator", False)])
def test_only_a_data_set_is_read_in_a_thread(
    kind: str, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_calls_of(5, monkeypatch)
    threads, take = set(), Groups.take

    def noted(self: Groups, most: int) -> list[Batch]:
        threads.add(threading.current_thread() is not threading.main_thread())
        return take(self, most)

    monkeypatch.setattr(Groups, "take", noted)
    fitted(STREAMS[kind](TRAIN), STREAMS[kind](VAL))
    assert threads == {apart}


class Saves(d2l.Callback):
    """Writes a checkpoint after a call within the second epoch, and ends the fit."""

    def __init__(self, folder: Path, steps: int) -> None:
        self.folder, self.steps = folder, steps

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Sequence[Any]) -> None:
        if trainer.epoch == 1 and trainer.steps_of_epoch == self.steps:
            save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "jit_compile"), [("unknown length", None), ("data set", False), ("generator", False)]
)
def test_a_fit_resumes_in_the_middle_of_a_stream(
    kind: str, jit_compile: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_calls_of(5, monkeypatch)
    make = STREAMS[kind]
    settings: dict[str, Any] = {
        "max_epochs": 2, "enable_progress_bar": False, "steps_per_execution": 4,
        "jit_compile": jit_compile,
    }  # fmt: skip
    whole = fitted(make(TRAIN), make(VAL), **settings)
    with pytest.raises(KeyboardInterrupt):
        fitted(make(TRAIN), make(VAL), Saves(tmp_path, 8), **settings)
    [path] = checkpoints(tmp_path)
    resumed = Line(0.05)
    history = d2l.Trainer(**settings).fit(resumed, Loaders(make(TRAIN), make(VAL)), path)
    for name in ("train_loss", "val_loss"):
        assert history[name] == whole.trainer.history[name]
    assert resumed.w.numpy() == whole.w.numpy()


def test_the_hooks_of_a_pydataset_run_after_the_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    in_calls_of(10, monkeypatch)
    steps: list[int] = []

    class Noted(ByIndex):
        def on_epoch_end(self) -> None:
            steps.append(trainer.train_batch_idx)

    trainer = d2l.Trainer(2)
    trainer.fit(Line(), Loaders(Noted([(np.ones((2, 1), np.float32),) * 2] * 6)))
    assert steps == [6, 12]


def test_a_validation_batch_with_nan_ends_the_fit_as_one_call_a_batch_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_calls_of(10, monkeypatch)
    bad = [(np.full_like(X[:8], np.nan), Y[:8])]
    with pytest.raises(DivergedError, match="validation loss became nan at step 4 of"):
        fitted(dataset(TRAIN), [*VAL[:3], *bad, *VAL[3:]])


class Picks(d2l.Module):
    """Looks up the loss of a class by its id, or leaves it to the cross-entropy."""

    def __init__(self, looks_up: bool) -> None:
        super().__init__()
        self.looks_up, self.w = looks_up, tf.Variable(tf.zeros(3))

    def training_step(self, batch: Batch) -> tf.Tensor:
        scores = batch[0] * self.w
        if self.looks_up:
            scores = -tf.nn.log_softmax(scores)
            return tf.reduce_mean(tf.gather(scores, batch[1], batch_dims=1))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(batch[1], scores)
        return tf.reduce_mean(losses)

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(0.1)


@pytest.mark.parametrize(("looks_up", "error"), [(False, DivergedError), (True, StepError)])
def test_a_class_id_out_of_range_in_a_later_pass_is_an_error(
    looks_up: bool, error: type[Tfd2lError], monkeypatch: pytest.MonkeyPatch
) -> None:
    # XLA makes the cross-entropy of such an id NaN, and would look up another element.
    in_calls_of(10, monkeypatch)
    good = [(np.ones((2, 1), np.float32), np.array([0, 2], np.int32))] * 8
    bad = [*good[:4], (np.ones((2, 1), np.float32), np.array([0, 7], np.int32)), *good[5:]]
    passes = iter([good, bad])
    with pytest.raises(error):
        d2l.Trainer(2).fit(Picks(looks_up), Loaders(lambda: iter(next(passes))))


def test_xla_runs_the_batches_like_the_first_ones_after_the_first_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_calls_of(10, monkeypatch)

    def loops(model: d2l.Module) -> dict[int, bool]:
        prepared = model.trainer._train_loader.passes(model.trainer._train_step, 2)
        return {
            kind.key[0].shape[0]: fast and loop.xla
            for (kind, fast), loop in prepared._loops.items()
        }

    assert loops(fitted(dataset(TRAIN))) == {4: True, 2: False}
    assert loops(fitted(dataset(TRAIN), jit_compile=False)) == {4: False, 2: False}
    monkeypatch.setattr(streamed, "WORTHWHILE_STEPS", 1000)
    assert loops(fitted(dataset(TRAIN))) == {4: False, 2: False}


def test_a_call_takes_no_more_bytes_than_the_bound() -> None:
    def capacity(shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
        class Mean(Sums):
            def training_step(self, batch: Batch) -> tf.Tensor:
                return self.w * tf.reduce_mean(tf.cast(batch[0], tf.float32))

        model = Mean()
        batches = [(np.zeros(shape, dtype), np.zeros(shape[0], np.int32))]
        trainer = d2l.Trainer(1)
        trainer.fit(model, Loaders(batches))
        prepared: Any = trainer._train_loader.passes(trainer._train_step, 1)
        [loop] = prepared._loops.values()
        return int(loop.capacity)

    assert capacity((4, 2), np.float32) == streamed.MAX_BATCHES
    # 32 MiB hold 31 of 2^20 bytes and the 1024 x 4 bytes of the targets, and none of 2^26.
    assert capacity((1024, 1024), np.uint8) == 31
    assert capacity((1024, 16, 1024, 4), np.uint8) == 1


def test_the_kind_of_a_batch_counts_its_bytes() -> None:
    assert Kind.of((tf.ones((4, 2)), tf.ones(4, tf.int64))).size_bytes == 4 * 2 * 4 + 4 * 8
    assert Kind.of((tf.constant("a"),)).size_bytes == 1
    assert not Kind.of((tf.ragged.constant([[1], []]),)).dense
