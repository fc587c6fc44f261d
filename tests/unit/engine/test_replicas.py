"""Steps in replicas: the numbers of one device, on logical devices of the CPU."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.warm import run_warm
from tests.support.zoo import ZOO
from tfd2l.book.devices import DeviceError
from tfd2l.engine.distribution.slices import slice_of

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


@pytest.mark.parametrize("case", CASES)
def test_replicas_make_the_steps_of_one_device(features: Any, case: str) -> None:
    one, *others = features[case].values()
    for other in others:
        assert_same(one, other)


@pytest.mark.parametrize("case", CASES)
def test_after_the_fit_the_variables_are_ordinary_ones(features: Any, case: str) -> None:
    assert all(fitted["mirrored"] == [] for fitted in features[case].values())


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


def test_batch_normalization_averages_the_statistics_of_the_slices(features: Any) -> None:
    _, _, mean, variance, *_ = features["own statistics"]["variables"]
    # Two examples on two devices: the variance of each one's slice is 0.
    X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-6)
    assert variance == [0, 0, 0]


def test_a_checkpoint_of_two_devices_resumes_on_two_and_on_one(features: Any) -> None:
    whole, on_two, on_one = features["resumed"]
    assert on_two == whole
    for fitted in (whole, on_one):
        del fitted["history"]["train_drawn"]  # two replicas draw more numbers than one
    assert_same(whole, on_one)


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
        ({"num_gpus": 2}, "num_gpus=2, but TensorFlow sees 0"),
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


@pytest.mark.long
def test_all_models_of_the_contract_train_alike() -> None:
    found = program("zoo")
    assert len(found) == 2 * len(ZOO)
    for name, fits in found.items():
        if name.partition(",")[0] not in DIFFERENT:
            for count in "123":
                assert_same(fits["0"], fits[count])
