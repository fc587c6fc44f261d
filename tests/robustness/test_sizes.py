"""Data of unusual size, type and content: trained on, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist, images
from pipelines.batching import batched
from pipelines.tables.batches import dataset
from tests.support.data import Loaders
from tfd2l.engine.errors import CompileError, DivergedError, StepError

Array = np.ndarray[Any, Any]
MODELS: dict[str, Callable[[], d2l.Classifier]] = {
    "scratch": lambda: d2l.SoftmaxRegressionScratch(4, 3, 0.1),
    "concise": lambda: d2l.SoftmaxRegression(3, 0.1),
}
MODES: dict[str, dict[str, bool]] = {
    "compiled": {}, "eager": {"run_eagerly": True}, "xla": {"jit_compile": True}
}  # fmt: skip
BATCH_SIZE = 4


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> d2l.Classifier:
    return MODELS[request.param]()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# In XLA data in memory and, further below, batches from Python are trained on. What differs in a
# streamed data set does not depend on XLA, which takes a second to compile a step.
each_mode_and_loader = pytest.mark.parametrize(
    ("mode", "load"),
    [
        pytest.param(
            mode, kind, marks=[pytest.mark.long] if (mode, kind) == ("xla", "streamed") else []
        )
        for mode in MODES
        for kind in ("in memory", "streamed")
    ],
    indirect=True,
)


@pytest.fixture(params=["in memory", "streamed"])
def load(request: pytest.FixtureRequest) -> Callable[..., tf.data.Dataset]:
    def make(*arrays: Array) -> tf.data.Dataset:
        loader = batched(arrays, BATCH_SIZE, shuffle=False)
        # A data set that is derived from it is streamed.
        return loader if request.param == "in memory" else loader.map(lambda *batch: batch)

    return make


def inputs(n: int, *shape: int) -> Array:
    return np.random.default_rng(0).random((n, *(shape or (4,))), np.float32)


def labels(n: int) -> Array:
    return np.arange(n, dtype=np.int32) % 3


def fit(model: d2l.Module, mode: str, train: Any, val: Any = None) -> dict[str, list[float]]:
    return d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(train, val))  # type: ignore[arg-type]


def in_a_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    assert len(str(error)) < 400
    return str(error)


@each_mode_and_loader
@pytest.mark.parametrize("n", [1, BATCH_SIZE + 1])
def test_few_examples_are_trained_on_and_validated(
    mode: str, load: Callable[..., Any], n: int
) -> None:
    arrays = inputs(n), labels(n)
    history = fit(MODELS["scratch"](), mode, load(*arrays), load(*arrays))
    assert np.isfinite([history["train_loss"], history["val_loss"]]).all()


def test_a_single_class_is_learnt(model: d2l.Classifier) -> None:
    data = batched([inputs(10), np.full(10, 2, np.int32)], BATCH_SIZE, shuffle=True)
    assert d2l.Trainer(20).fit(model, Loaders(data, data))["val_acc"][-1] == 1.0


@pytest.mark.parametrize("dtype", [np.uint8, pytest.param(np.int64, marks=pytest.mark.long)])
def test_class_ids_of_other_integer_types_give_the_same_losses(dtype: type, mode: str) -> None:
    losses = []
    kinds: list[Array] = [labels(10), labels(10).astype(dtype)]
    for y in kinds:
        tf.random.set_seed(0)
        losses += fit(
            MODELS["scratch"](), mode, batched([inputs(10), y], BATCH_SIZE, shuffle=False)
        )["train_loss"]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("mode", ["compiled", "eager"])
@pytest.mark.parametrize(("kind", "wrong"), [("scratch", 3), ("concise", -1)])
def test_a_class_id_out_of_range_is_named_with_its_step(
    mode: str, load: Callable[..., Any], kind: str, wrong: int
) -> None:
    model = MODELS[kind]()
    y = labels(10)
    y[9] = wrong
    loader = load(inputs(10), y)
    with pytest.raises(StepError, match=rf"training_step failed.* {wrong} .*\[0, 3\)") as error:
        fit(model, mode, loader)
    looped = mode == "compiled" and hasattr(loader, "indexed_batches")
    where = "one of the steps 2 to 3 (run_eagerly=True tells which)" if looped else "step 3"
    assert f"failed at {where} of epoch 1: " in in_a_line(error.value)
    with pytest.raises(
        StepError, match="validation_step failed at .*of epoch 1: .*class|.*not in|"
    ):
        fit(model, mode, load(inputs(10), labels(10)), loader)


def test_with_xla_a_class_id_out_of_range_makes_the_loss_nan() -> None:
    y = labels(10)
    y[9] = 3
    with pytest.raises(DivergedError, match="step 3 of epoch 1.*class ids out of range"):
        fit(MODELS["concise"](), "xla", batched([inputs(10), y], BATCH_SIZE, shuffle=False))


WRONG = {
    "float labels": ((inputs(10), labels(10).astype(np.float32)), "must be integers.*got float32"),
    "bool labels": ((inputs(10), labels(10) > 0), "must be integers.*got bool"),
    "one-hot labels": (
        (inputs(10), np.eye(3, dtype=np.float32)[labels(10)]),
        "class ids shape .n,",
    ),
    "text": ((np.array(["a"] * 10), labels(10)), "string"),
}
WRONG_FROM_SCRATCH = {
    "labels of rank 2": ((inputs(10), labels(10)[:, None]), r"class ids shape \(n,\).*\(4, 1\)"),
    "raw pixels": ((inputs(10).astype(np.uint8), labels(10)), "must be float32; got uint8. Scale"),
    "integers": ((inputs(10).astype(np.int32), labels(10)), "must be float32; got int32"),
    "another width": ((inputs(10, 5), labels(10)), "num_inputs=4 numbers; got 5"),
    "images of another size": ((inputs(10, 3, 3, 1), labels(10)), "num_inputs=4 numbers; got 9"),
    "one number each": ((inputs(10)[:, 0], labels(10)), r"\(n, q\).*got \(1, 3\) and \(4,\)"),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for kind in MODELS for name in WRONG]
    + [(name, "scratch") for name in WRONG_FROM_SCRATCH],
)
def test_data_of_the_wrong_kind_is_refused_in_a_line(name: str, kind: str, mode: str) -> None:
    arrays, message = {**WRONG, **WRONG_FROM_SCRATCH}[name]
    loader = batched(arrays, BATCH_SIZE, shuffle=False)
    if mode == "xla" and (name, kind) == ("text", "concise"):
        # XLA's own message, which differs between versions.
        message = "batch: .*string"
    with pytest.raises((ValueError, CompileError), match=message) as error:
        fit(MODELS[kind](), mode, loader)
    in_a_line(error.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
def test_keras_layers_accept_numbers_of_any_type(dtype: type) -> None:
    data = batched([inputs(10).astype(dtype), labels(10)], BATCH_SIZE, shuffle=False)
    assert np.isfinite(fit(MODELS["concise"](), "compiled", data)["train_loss"]).all()


def test_known_gap_from_scratch_xla_reads_a_class_id_out_of_range_as_the_nearest() -> None:
    losses = []
    for last in (3, 2):
        tf.random.set_seed(0)
        y = labels(10)
        y[9] = last
        data = batched([inputs(10), y], BATCH_SIZE, shuffle=False)
        losses += fit(MODELS["scratch"](), "xla", data)["train_loss"]
    assert losses[0] == losses[1]


def test_keras_layers_accept_images_of_any_size_but_of_one_size_only_in_a_fit(mode: str) -> None:
    model = MODELS["concise"]()
    fit(model, mode, batched([inputs(10, 2, 2, 1), labels(10)], BATCH_SIZE, shuffle=False))
    with pytest.raises((ValueError, CompileError), match="incompatible with the layer.*(9|4)"):
        fit(model, mode, batched([inputs(10, 3, 3, 1), labels(10)], BATCH_SIZE, shuffle=False))


@pytest.mark.parametrize(
    "shapes", [[(0, 4), (0,)], [(10, 4), (9,)], [(9, 4), (10,)], [(), (3,)], []]
)
def test_no_examples_or_different_lengths_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="one length, at least 1, on their first axis; got shapes"):
        batched([np.zeros(shape, np.float32) for shape in shapes], 4, shuffle=True)


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="one length, at least 1"):
        dataset(pd.DataFrame({"a": []}, dtype=float), pd.Series([], dtype=float), 4, shuffle=True)


def test_images_of_the_wrong_kind_are_refused() -> None:
    X, y = np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.uint8)
    for wrong, message in (
        (X.astype(np.float32), "must be uint8 in 0..255.*got float32"),
        (X[..., None], "must be .n, height, width.*got shape .3, 2, 2, 1."),
        (X[0], "must be .n, height, width.*got shape .2, 2."),
    ):
        with pytest.raises(ValueError, match=message):
            images.prepare_images(wrong, None)
    with pytest.raises(ValueError, match=r"one length.*\(3, 2, 2\), \(2,\)"):
        fashion_mnist.dataset(X, y[:2], 2, shuffle=False)


def empty() -> Iterator[Any]:
    yield from ()


@pytest.mark.parametrize("loader", [list, empty, lambda: tf.data.Dataset.range(0)])
def test_a_loader_that_yields_nothing_is_refused(loader: Callable[[], Any], mode: str) -> None:
    with pytest.raises(ValueError, match="training data has no batches; give it at least one ex"):
        fit(MODELS["concise"](), mode, loader)


def test_a_generator_is_made_again_each_epoch_and_an_exhausted_one_is_refused(mode: str) -> None:
    def batches() -> Iterator[tuple[Array, Array]]:
        for n in (4, 1, 3):
            yield inputs(n), labels(n)

    trainer = d2l.Trainer(2, **MODES[mode])  # type: ignore[arg-type]
    assert len(trainer.fit(MODELS["concise"](), Loaders(batches))["train_loss"]) == 2
    assert trainer.train_batch_idx == 6
    spent = batches()
    with pytest.raises(ValueError, match="no batches in epoch 2.*iterated more than once"):
        d2l.Trainer(2, **MODES[mode]).fit(  # type: ignore[arg-type]
            MODELS["concise"](), Loaders(lambda: spent)
        )


def with_nan(at: int) -> Array:
    X = inputs(10)
    X[at, 1] = np.nan
    return X


@pytest.mark.parametrize(
    ("at", "step"), [pytest.param(0, 1, marks=pytest.mark.long), (5, 2), (9, 3)]
)
@each_mode_and_loader
def test_a_nan_loss_is_refused_with_its_step(
    mode: str, load: Callable[..., Any], at: int, step: int
) -> None:
    # Three steps; the last one has a smaller batch.
    with pytest.raises(DivergedError, match=rf"became \S+ at step {step} of epoch 1; try") as error:
        fit(MODELS["concise"](), mode, load(with_nan(at), labels(10)))
    in_a_line(error.value)


def test_an_infinite_loss_in_the_first_step_of_a_later_epoch_is_refused(mode: str) -> None:
    # The last gradient of epoch 1 is finite, but the step is too large.
    model = d2l.LinearRegressionScratch(1, lr=3e38)
    data = batched([np.ones((3, 1), np.float32)] * 2, 3, shuffle=False)
    with pytest.raises(DivergedError, match="at step 1 of epoch 2;"):
        d2l.Trainer(2, **MODES[mode]).fit(model, Loaders(data))  # type: ignore[arg-type]


@each_mode_and_loader
def test_a_nan_validation_loss_is_refused_too(mode: str, load: Callable[..., Any]) -> None:
    data = load(inputs(10), labels(10)), load(with_nan(9), labels(10))
    with pytest.raises(DivergedError, match="validation loss became nan") as error:
        fit(MODELS["scratch"](), mode, *data)
    in_a_line(error.value)


def test_batches_of_different_lengths_are_trained_on(mode: str) -> None:
    loader: Iterable[Any] = [(inputs(n), labels(n)) for n in (5, 1, 5, 2)]
    assert np.isfinite(fit(MODELS["concise"](), mode, loader, loader)["train_loss"]).all()


def test_a_step_that_runs_out_of_memory_is_named_in_one_line() -> None:
    class Greedy(d2l.LinearRegressionScratch):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\n\nmore")

    data = batched([np.ones((3, 1), np.float32)] * 2, 3, shuffle=False)
    with pytest.raises(StepError, match=r"training_step failed at step 1 of epoch 1: ") as error:
        fit(Greedy(1, lr=0.1), "eager", data)
    assert "OOM" in in_a_line(error.value)


# TensorFlow waits ten seconds for memory before it gives up.
@pytest.mark.long
@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_a_step_that_needs_too_much_memory_is_refused_in_one_line(mode: str) -> None:
    class Greedy(d2l.LinearRegressionScratch):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            # 64 TiB.
            return super().loss(y_hat, y) + tf.reduce_sum(tf.random.normal((2**22, 2**22)))

    data = batched([np.ones((3, 1), np.float32)] * 2, 3, shuffle=False)
    with pytest.raises(StepError, match=r"training_step failed at step 1 of epoch 1: ") as error:
        fit(Greedy(1, lr=0.1), mode, data)
    assert "memory" in in_a_line(error.value).lower() or "OOM" in str(error.value)
