"""Batches mapped by a `tf.data` service of this process: order, exactness, a fit, and errors."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.data_service.mapping import DataServiceError, _in_order, _received


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """A dispatcher with three workers."""
    servers = tf.data.experimental.service
    dispatcher = servers.DispatchServer()
    address = dispatcher.target.removeprefix("grpc://")
    workers = [servers.WorkerServer(servers.WorkerConfig(address)) for _ in range(3)]
    yield address
    del workers


def pairs(count: int) -> tf.data.Dataset:
    return tf.data.Dataset.range(count).batch(4).map(lambda x: ({"x": x}, -x))


@pytest.mark.slow
def test_three_workers_give_each_batch_once_in_its_order(service: str) -> None:
    def square(X: Any, y: Any) -> Any:
        # The first batch takes the longest, so that others arrive before it.
        turns = tf.where(X["x"][0] == 0, 300, 0)
        _, one = tf.while_loop(
            lambda turn, _: turn < turns, lambda turn, M: (turn + 1, M @ M), (0, tf.eye(200))
        )
        return X["x"] * X["x"] * tf.cast(one[0, 0], tf.int64), y

    squares = d2l.map_on_service(pairs(90), square, service)
    found = [(x.numpy().tolist(), y.numpy().tolist()) for x, y in squares]
    numbers = [[*range(first, min(first + 4, 90))] for first in range(0, 90, 4)]
    assert found == [([n * n for n in some], [-n for n in some]) for some in numbers]


class Regression(d2l.DataModule):
    """Nine examples whose inputs are prepared by the service, or here."""

    batch_size = 4

    def __init__(self, service: str | None) -> None:
        super().__init__()
        self.service = service

    def get_dataloader(self, train: bool) -> Any:
        if not train:
            return None
        X = np.arange(18, dtype=np.float32).reshape(9, 2)
        batches = self.get_tensorloader((X, X.sum(1, keepdims=True)), train)
        if self.service is None:
            return iter(batches.map(self.prepare))
        return d2l.map_on_service(batches, self.prepare, self.service)

    @staticmethod
    def prepare(X: tf.Tensor, y: tf.Tensor) -> Any:
        return X / 18, y / 18


@pytest.mark.slow
def test_a_fit_makes_the_very_steps_that_it_makes_without_the_service(service: str) -> None:
    losses = []
    for address in (None, service):
        tf.random.set_seed(0)
        model = d2l.LinearRegressionScratch(2, lr=0.1)
        history = d2l.Trainer(2).fit(model, Regression(address))
        losses.append((history["train_loss"], model.w.numpy().tolist()))
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_an_error_of_the_function_is_told_in_a_line(service: str) -> None:
    def prepare(X: Any, y: Any) -> Any:
        return tf.io.read_file("/no/such/file"), y

    with pytest.raises(
        DataServiceError, match=r"tf.data service: /no/such/file; No such file"
    ) as e:
        list(d2l.map_on_service(pairs(4), prepare, service))
    assert "\n" not in str(e.value)


def test_values_are_put_in_order_and_a_lost_one_is_an_error() -> None:
    assert list(_in_order([(2, "c"), (0, "a"), (1, "b")], 3)) == ["a", "b", "c"]
    values = _in_order([(0, "a"), (2, "c")], 3)
    assert next(values) == "a"
    with pytest.raises(DataServiceError, match="lost batch 2 of 3"):
        next(values)


def test_a_service_that_sends_nothing_is_given_up() -> None:
    def wait() -> Iterator[int]:
        time.sleep(0.5)
        yield 1

    slow = tf.data.Dataset.from_generator(wait, output_signature=tf.TensorSpec((), tf.int32))
    with pytest.raises(DataServiceError, match="sent no batch for 0.01 seconds"):
        next(_received(slow, 0.01))


def test_no_batches_are_mapped_to_none_without_a_service() -> None:
    assert list(d2l.map_on_service([], lambda X: X, "127.0.0.1:1")) == []


def test_addresses_and_functions_that_can_not_work_are_refused() -> None:
    for address in ("localhost", "http://localhost:80", ":5050", "a b:1"):
        with pytest.raises(ValueError, match="service must be HOST:PORT"):
            d2l.map_on_service([], lambda X: X, address)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(DataServiceError, match=f"--port {port}"):
            next(d2l.map_on_service(pairs(4), lambda X, y: (X, y), f"127.0.0.1:{port}"))

    def python(X: Any, y: Any) -> Any:
        return tf.map_fn(lambda n: tf.numpy_function(np.sqrt, [n], tf.float64), X["x"]), y

    with pytest.raises(ValueError, match=r"in place of tf.py_function"):
        next(d2l.map_on_service(pairs(4), python, "127.0.0.1:1"))
