"""pipelines/batching.py: the order of a pass, the fetch of a batch, and the data set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipelines.batching import batched


def numbers(n: int, batch_size: int, **options: Any) -> tf.data.Dataset:
    return batched([np.arange(n), np.arange(n) * 10], batch_size, **options)


def passes(dataset: tf.data.Dataset, count: int) -> list[list[int]]:
    return [[int(x) for X, _ in dataset for x in X] for _ in range(count)]


@pytest.mark.slow
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000))
def test_each_shuffled_pass_has_every_example_once(n: int, batch_size: int, seed: int) -> None:
    indexed = numbers(n, batch_size, shuffle=True, seed=seed).indexed_batches
    for epoch in range(3):
        assert sorted(indexed.order(epoch).numpy()) == list(range(n))
    assert indexed.num_full * batch_size + indexed.tail_size == n
    assert indexed.num_batches == -(-n // batch_size)


def test_the_data_set_keeps_the_smaller_last_batch_and_its_length() -> None:
    dataset = numbers(10, 4, shuffle=True)
    assert len(dataset) == 3
    assert [len(X) for X, _ in dataset] == [4, 4, 2]
    for X, y in dataset:
        np.testing.assert_array_equal(X * 10, y)


def test_every_iteration_reshuffles_the_examples_and_not_just_the_batches() -> None:
    first, second, third = passes(numbers(100, 10, shuffle=True), 3)
    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second != third != first
    together = [{*first[i : i + 10]} for i in range(0, 100, 10)]
    assert not any({*second[i : i + 10]} in together for i in range(0, 100, 10))


def test_the_seed_decides_on_the_sequence_of_passes() -> None:
    assert passes(numbers(50, 8, shuffle=True, seed=1), 2) == passes(
        numbers(50, 8, shuffle=True, seed=1), 2
    )
    assert passes(numbers(50, 8, shuffle=True, seed=1), 1) != passes(
        numbers(50, 8, shuffle=True, seed=2), 1
    )


def test_the_order_of_a_pass_depends_on_seed_and_epoch_alone() -> None:
    indexed = numbers(50, 8, shuffle=True, seed=3).indexed_batches
    again = numbers(50, 8, shuffle=True, seed=3).indexed_batches
    for epoch in (4, 0, 4):
        np.testing.assert_array_equal(indexed.order(epoch), again.order(epoch))
    assert (indexed.order(0).numpy() != indexed.order(1).numpy()).any()


def test_without_shuffle_the_order_stays() -> None:
    assert passes(numbers(7, 3, shuffle=False), 2) == [list(range(7))] * 2


def test_prepare_gets_whole_batches() -> None:
    shapes = []

    def prepare(X: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shapes.append(X.shape.rank)
        return tf.cast(X, tf.float32) / 2, y

    dataset = numbers(6, 4, shuffle=False, prepare=prepare)
    np.testing.assert_array_equal(next(iter(dataset))[0], [0, 0.5, 1, 1.5])
    assert shapes == [1]
    fetched = dataset.indexed_batches.fetch(tf.constant([5, 1]))
    np.testing.assert_array_equal(fetched[0], [2.5, 0.5])


def test_derived_data_sets_have_no_indexed_batches() -> None:
    assert not hasattr(numbers(6, 4, shuffle=False).take(1), "indexed_batches")


@pytest.mark.slow
def test_sequences_of_one_seed_have_no_order_in_common() -> None:
    found = [
        order
        for sequence in range(3)
        for order in passes(numbers(50, 8, shuffle=True, sequence=sequence), 3)
    ]
    assert len({*map(tuple, found)}) == 9
    assert passes(numbers(50, 8, shuffle=True, sequence=1), 3) == found[3:6]
    # The trainer's own orders are of the seed alone.
    one, two = (numbers(50, 8, shuffle=True, sequence=n).indexed_batches for n in (0, 2))
    np.testing.assert_array_equal(one.order(1), two.order(1))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None])
def test_a_batch_size_must_be_a_positive_whole_number(batch_size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1; got"):
        numbers(6, batch_size, shuffle=False)


@pytest.mark.parametrize(
    "arrays", [[], [np.zeros((0, 2))], [np.zeros(3), np.zeros(4)], [np.float32(1)]]
)
def test_arrays_without_examples_or_of_different_lengths_are_refused(arrays: Any) -> None:
    with pytest.raises(ValueError, match="one length, at least 1, on their first axis; got"):
        batched(arrays, 2, shuffle=False)


def test_iterating_does_not_copy_the_examples() -> None:
    def own_bytes() -> int:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])  # type: ignore[index]

    size = 2**27
    examples = tf.ones((2**10, size // 2**10), tf.uint8)
    loader = batched((examples,), batch_size=1, shuffle=True)
    before = own_bytes()
    batches = iter(loader)
    next(batches)
    # Prefetched batches are small.
    assert own_bytes() - before < size / 2
