"""Steps in replicas: the numbers of one device, on logical devices of the CPU."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support import ROOT
from tests.support.warm import WarmProcess, run_warm
from tests.support.zoo import ZOO
from tfd2l.book.devices import DeviceError
from tfd2l.engine.distribution.mirrored import Mirrors
from tfd2l.engine.distribution.slices import slice_of
from tfd2l.engine.errors import MirrorError

CASES = (
    "scratch, clipped",
    "optimizer's clipping, synchronized",
    "sparse, averaged weights",
    "streamed",
)
# The slices' own statistics, or random numbers of each replica's own.
DIFFERENT = ("batch normalisation", "Keras dropout", "dropout from scratch")


@pytest.fixture(scope="module")
def features() -> Any:
    return program("features")


def program(part: str) -> Any:
    """The output of the program with three logical devices, in a process of its own."""
    done = run_warm("-m", "tests.support.replicas", part)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def assert_same(one: Any, other: Any) -> None:
    """Compare the histories and the variables of two fits."""
    assert one["history"].keys() == other["history"].keys()
    # Sums in another order round differently; after 21 steps float32 still keeps five digits.
    for name, column in one["history"].items():
        np.testing.assert_allclose(other["history"][name], column, rtol=1e-5, err_msg=name)
    for left, right in zip(one["variables"], other["variables"], strict=True):
        np.testing.assert_allclose(right, left, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_replicas_make_the_steps_of_one_device(features: Any, case: str) -> None:
    one, *others = features[case].values()
    for other in others:
        assert_same(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_after_the_fit_the_variables_are_ordinary_ones(features: Any, case: str) -> None:
    assert all(fitted["mirrored"] == [] for fitted in features[case].values())


@pytest.mark.slow
def test_each_replica_draws_its_own_random_numbers(features: Any) -> None:
    one, two = (features["drawn"][count] for count in "02")
    drawn, mean = one["history"]["train_drawn"], two["history"]["train_drawn"]
    # The plot is the mean of both replicas, the first of which draws what one device does.
    assert abs(2 * (mean[0] - drawn[0])) > 1e-3
    assert 0 < 2 * mean[0] - drawn[0] < 1
    # The state of the generator is the same afterwards, so that a checkpoint fits any number.
    assert [v for v in one["variables"] if len(v) == 2] == [
        v for v in two["variables"] if len(v) == 2
    ]


@pytest.mark.slow
def test_batch_normalization_averages_the_statistics_of_the_slices(features: Any) -> None:
    _, _, mean, variance, *_ = features["own statistics"]["variables"]
    # Two examples on two devices: the variance of each one's slice is 0.
    X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-6)
    assert variance == [0, 0, 0]


@pytest.mark.slow
def test_a_checkpoint_of_two_devices_resumes_on_two_and_on_one(features: Any) -> None:
    whole, on_two, on_one = features["resumed"]
    assert on_two == whole
    for fitted in (whole, on_one):
        del fitted["history"]["train_drawn"]  # two replicas draw more numbers than one
    assert_same(whole, on_one)


@pytest.mark.slow
def test_what_replicas_cannot_do_is_said_in_a_line(features: Any) -> None:
    errors = features["errors"]
    assert errors["adds losses"].startswith("MirrorError: the losses that the layer 'dense")
    assert "do it in training_step" in errors["own epoch"]
    assert "it changes Counting.count" in errors["warned"]


def test_slices_follow_each_other_and_differ_by_one_at_most() -> None:
    batch = {"a": tf.range(10)}, tf.ragged.constant([[i] * i for i in range(10)]), tf.range(10)
    parts = [slice_of(batch, number, 4) for number in range(4)]
    assert [part[2].numpy().tolist() for part, _ in parts] == [
        [0, 1, 2], [3, 4, 5], [6, 7], [8, 9],
    ]  # fmt: skip
    assert [share for _, share in parts] == [0.3, 0.3, 0.2, 0.2]
    assert parts[2][0][1].to_list() == [[6] * 6, [7] * 7]
    assert parts[3][0][0]["a"].numpy().tolist() == [8, 9]


def test_a_replica_without_an_example_gets_the_first_with_no_share() -> None:
    sparse = tf.sparse.from_dense([[0, 5], [7, 0]])
    parts = [slice_of((tf.constant(3.0), sparse, tf.range(2)), number, 3) for number in range(3)]
    assert [share for _, share in parts] == [0.5, 0.5, 0.0]
    assert [tf.sparse.to_dense(part[1]).numpy().tolist() for part, _ in parts] == [
        [[0, 5]], [[7, 0]], [[0, 5]],
    ]  # fmt: skip
    assert [float(part[0]) for part, _ in parts] == [3.0, 3.0, 3.0]


def test_parts_of_a_batch_have_one_entry_for_each_target() -> None:
    with pytest.raises(ValueError, match=r"of 4 targets; got a part of shape \(3,\)"):
        slice_of((tf.range(3), tf.range(4)), 0, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_gpus": 2}, "num_gpus must be at most 0, the GPUs that TensorFlow sees; got 2"),
        ({"strategy": tf.distribute.get_strategy()}, "must be a tf.distribute.MirroredStrategy"),
        ({"strategy": "CPU:0"}, "got str"),
    ],
)
def test_a_trainer_refuses_other_devices_and_strategies(settings: Any, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        d2l.Trainer(1, **settings)


def test_a_trainer_refuses_arguments_that_exclude_each_other() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with pytest.raises(ValueError, match="num_gpus=0 and a strategy exclude each other"):
        d2l.Trainer(1, num_gpus=0, strategy=strategy)
    with pytest.raises(ValueError, match="compiles for one device"):
        d2l.Trainer(1, strategy=strategy, jit_compile=True)
    assert d2l.Trainer(1, strategy=strategy).strategy is strategy


def test_mirrored_variables_stand_in_all_places_and_leave_them_again() -> None:
    Pair = namedtuple("Pair", "kernel bias")

    class Places(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W = tf.Variable([1.0], name="W")
            self.same = [self.W, (tf.Variable([2.0]), 3)]
            self.by_name = {"pair": Pair(tf.Variable([4.0]), self.W)}
            self.dense = keras.layers.Dense(1)

    model = Places()
    model.dense.build((None, 1))
    before, pair = model.variables, model.by_name["pair"]
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    mirrors = Mirrors(strategy)
    with strategy.scope():
        mirrors.hold(model, model.variables)
        mirrors.hold(model, model.variables)  # changes nothing
        assert len(model.variables) == len(before) == 5
        inner = [model.W, model.dense.kernel.value]
        assert all(isinstance(one, tf.distribute.DistributedValues) for one in inner)
        assert model.same[0] is model.W is model.by_name["pair"].bias
        model.W.assign([5.0])
        mirrors.release()
    assert model.by_name["pair"] is pair
    assert all(one is other for one, other in zip(model.variables, before, strict=True))
    assert model.W.numpy() == model.same[0].numpy() == [5]


def test_a_variable_where_none_can_be_put_is_named() -> None:
    class Frozen(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            object.__setattr__(self, "held", frozenset([1]))

        @property
        def variables(self) -> list[Any]:
            return [hidden]

    hidden = tf.Variable([1.0], name="hidden")
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope(), pytest.raises(MirrorError, match="'hidden:0' can't be mirrored"):
        Mirrors(strategy).hold(Frozen(), [hidden])


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.long)])
def test_processes_on_loopback_make_the_steps_of_one(count: int, tmp_path: Path) -> None:
    workers = [start_worker("worker", number, count, tmp_path) for number in range(count)]
    done = run_warm("-m", "tests.support.replicas", "worker")
    alone = json.loads(done.stdout.splitlines()[0])
    try:
        assert [worker.wait(100) for worker in workers] == [0] * count
    finally:
        for worker in workers:
            worker.kill()
    outputs = [(tmp_path / f"{number}.out").read_text().splitlines() for number in range(count)]
    first, *others = [fits for fits, _ in outputs]
    assert all(other == first for other in others)  # also the weights, bit by bit
    for name, fitted in json.loads(first).items():
        assert_same(alone[name], fitted)
    assert_same_errors([json.loads(errors) for _, errors in outputs])


def assert_same_errors(workers: list[dict[str, str]]) -> None:
    """Check the errors where the second worker differs from the others, or fails alone."""
    first, second, *_ = workers
    for name, found, expected in (
        ("model", "the model is 'Noisy'", "'Net'"),
        ("shapes", "variable 3 of the model is '(8, 5) float32'", "'(8, 4) float32'"),
        ("batch size", "the training batch size is 4", "8"),
        ("examples", "the number of training examples is 21", "20"),
        ("optimizer", "momentum of the optimizer is 0.9", "0.0"),
        ("epochs", "max_epochs is 3", "2"),
    ):
        error = first[name]
        assert error.startswith(f"DisagreementError: all workers must train alike; {found}"), error
        assert " on worker 1 (127.0.0.1:" in error
        assert f"{expected} on worker 0 (127.0.0.1:" in error
        assert all(other[name] == error for other in workers)
    assert {worker["nothing"] for worker in workers} == {"none"}
    assert second["fails alone"] == "KeyError: 'no such column'"
    assert "has ended by KeyError: 'no such column', so no worker can" in first["fails alone"]
    assert first["fails alone"].startswith("WorkerError: worker 1 (127.0.0.1:")


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_worker_ends_the_others_with_a_line(number: int, tmp_path: Path) -> None:
    first, second = (start_worker("endless", worker, 2, tmp_path) for worker in range(2))
    try:
        while not (tmp_path / "1.err").exists() or "begun" not in (tmp_path / "1.err").read_text():
            time.sleep(0.1)
        time.sleep(10)  # the fit has begun by then, on a slow machine too
        second.send_signal(number)
        assert first.wait(60) == 0
    finally:
        first.kill()
        second.kill()
    error = json.loads((tmp_path / "0.out").read_text())
    assert error.startswith("WorkerError: worker 1 (127.0.0.1:")
    assert "has ended or can't be reached, so no worker can make the next step" in error
    assert "\n" not in error


def start_worker(part: str, number: int, count: int, folder: Path) -> WarmProcess:
    """Start a process that trains with others, its output in files of the folder."""
    ports = folder / "ports"
    if not ports.exists():
        with contextlib.ExitStack() as stack:
            bound = [
                stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
            ]
            ports.write_text(json.dumps([f"127.0.0.1:{one.getsockname()[1]}" for one in bound]))
    task = {"type": "worker", "index": number}
    cluster = {"cluster": {"worker": json.loads(ports.read_text())}, "task": task}
    return WarmProcess(
        ["-m", "tests.support.replicas", part],
        cwd=ROOT,
        environment={**os.environ, "TF_CONFIG": json.dumps(cluster)},
        outputs=(folder / f"{number}.out", folder / f"{number}.err"),
    )


@pytest.mark.long
def test_all_models_of_the_contract_train_alike() -> None:
    found = program("zoo")
    assert len(found) == 2 * len(ZOO)
    for name, fits in found.items():
        if name.partition(",")[0] not in DIFFERENT:
            for count in "123":
                assert_same(fits["0"], fits[count])
