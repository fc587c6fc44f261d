"""Loaders: their length, indexed batches and examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.batching import batched
from tfd2l.engine.loaders import (
    as_batch,
    batch_size_of,
    count_batches,
    example_of,
    indexed,
    reiterable,
)


def loader() -> tf.data.Dataset:
    return batched([np.arange(5.0), np.arange(5)], 2, shuffle=False)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (loader(), 3),
        ([1, 2], 2),
        (loader().filter(lambda X, y: True), None),
        (iter([1]), None),
        ([], 0),
    ],
    ids=["data set", "list", "filtered", "iterator", "empty"],
)
def test_batches_are_counted_if_their_number_is_known(source: Any, count: int | None) -> None:
    assert count_batches(source) == count


def test_an_endless_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match=r"repeats without end.*take\(100\)"):
        count_batches(loader().repeat())


def test_only_data_sets_of_indexed_batches_have_them() -> None:
    assert indexed(loader()) is not None
    assert indexed(loader().take(1)) is None
    assert indexed([1]) is None


def test_an_example_is_taken_without_using_up_an_iterator() -> None:
    example = example_of(loader())
    assert example is not None
    assert example[0].shape == (1,)
    generator = iter([(np.ones(2), np.ones(2))])
    assert example_of(reiterable(generator, list)) is None
    assert len(list(generator)) == 1
    assert example_of([]) is None


def test_an_iterator_is_used_first_and_then_made_again() -> None:
    asked: list[int] = []

    def again() -> Iterator[int]:
        asked.append(1)
        return iter([3, 4])

    loader = reiterable(iter([1, 2]), again)
    assert (list(loader), asked) == ([1, 2], [])
    assert [list(loader), list(loader)] == [[3, 4], [3, 4]]
    assert len(asked) == 2
    batches = [1, 2]
    assert reiterable(batches, again) is batches


def test_a_batch_of_any_structure_becomes_a_tuple_of_tensors() -> None:
    X, (y, z) = as_batch([np.ones((3, 2), np.float32), [np.arange(3), tf.zeros(3)]])
    assert all(tf.is_tensor(part) for part in (X, y, z))
    assert batch_size_of((X, y)) == 3
    assert batch_size_of((X, tf.constant(1.0))) == 1
