"""Loaders and batches that can't be used, and errors behind them: one line in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.tables.batches import streamed
from pipelines.tables.csv_files import read_table
from pipelines.tables.errors import TableError
from pipelines.tables.statistics import fit
from tests.support.data import Loaders
from tests.support.fits import Line, points
from tfd2l.engine.errors import LoaderError
from tfd2l.engine.loaders import batches_of

WRONG_BATCHES: dict[str, tuple[Any, str]] = {
    "one tensor": (tf.ones((4, 2)), r"got Tensor \(4, 2\) float32"),
    "dict": ({"image": 1, "label": 2}, r"got dict with the keys \['image', 'label'\].*map\(lambda"),
    "nothing": (None, "got None"),
    "empty": ((), "got tuple"),
}


@pytest.mark.parametrize("kind", WRONG_BATCHES)
def test_batches_that_are_no_tuples_are_refused_with_their_kind(kind: str) -> None:
    batch, message = WRONG_BATCHES[kind]
    with pytest.raises(TypeError, match=f"must be a tuple such as.*{message}"):
        d2l.Trainer(1).fit(Line(), Loaders([batch]))


def test_arrays_in_place_of_a_loader_are_refused_with_the_call_that_batches_them() -> None:
    X = np.ones((4, 2), np.float32)
    for given in (X, (X, X), {"x": X}, tf.data.Dataset.from_tensor_slices(X).batch(2)):
        with pytest.raises(TypeError, match=r"return self\.get_tensorloader\(\(X, y\), train\)"):
            d2l.Trainer(1).fit(Line(), Loaders(given))


def test_a_loader_that_is_none_or_no_iterable_is_refused() -> None:
    for given, name in ((None, "None"), (3, "int 3")):
        with pytest.raises(TypeError, match=rf"loader of Loaders for train=True is {name}; let"):
            d2l.Trainer(1).fit(Line(), Loaders(given))
    with pytest.raises(TypeError, match=r"for train=False is int 3.*get_dataloader\(train\)"):
        d2l.Trainer(1).fit(Line(), Loaders(points(2, 2), 3))


def failing() -> Iterator[Any]:
    yield np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)
    raise KeyError("row 3 has no price")


def test_an_error_in_a_generator_is_the_readers_own() -> None:
    with pytest.raises(KeyError, match="row 3 has no price"):
        d2l.Trainer(1).fit(Line(), Loaders(failing))


def mapped() -> tf.data.Dataset:
    def wrong(x: Any) -> Any:
        raise KeyError("row 3 has no price")

    rows = tf.data.Dataset.range(2)
    rows = rows.map(lambda x: tf.py_function(wrong, [x], tf.float32))
    return rows.map(lambda x: (x, x))


def generated() -> tf.data.Dataset:
    column = tf.TensorSpec((None, 1), tf.float32)
    return tf.data.Dataset.from_generator(failing, output_signature=(column, column)).prefetch(2)


@pytest.mark.parametrize(
    ("make", "number", "place"), [(generated, 2, "failing"), (mapped, 1, "wrong")]
)
def test_an_error_behind_a_data_set_is_one_line_with_its_place(
    make: Any, number: int, place: str
) -> None:
    with pytest.raises(LoaderError) as caught:
        d2l.Trainer(1).fit(Line(), Loaders(make()))
    line = rf"batch {number} of the data can't be read: KeyError: 'row 3 has no price' "
    assert str(caught.value).startswith(line + "(test_loader_errors.py, line ")
    assert str(caught.value).endswith(f", in {place}).")
    assert isinstance(caught.value.__context__, tf.errors.OpError)
    assert caught.value.__suppress_context__


@pytest.mark.slow
def test_a_streamed_tables_error_reaches_the_caller_of_a_fit(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y\n1,2\n2,4\n")
    statistics = fit(read_table(path), "y")
    path.write_text("x,y\n1,2\nmany,4\n")
    rows = streamed(path, statistics, 1, chunk_rows=1)
    message = r"column 'x', row 3: 'many' is no number"
    with pytest.raises(TableError, match=f"^{message}"):
        d2l.Trainer(1).fit(Line(), Loaders(rows))
    with pytest.raises(LoaderError, match=rf"^batch 2 of the data .*: TableError: {message}"):
        d2l.Trainer(1).fit(Line(), Loaders(rows.map(lambda X, y: (X, y))))


def test_a_batch_that_tensorflow_cannot_make_is_refused_in_a_line() -> None:
    ragged = tf.data.Dataset.from_generator(
        lambda: iter([[1.0], [1.0, 2.0]]), output_signature=tf.TensorSpec((None,), tf.float32)
    )
    with pytest.raises(LoaderError, match=r"^batch 1 of the data .* different shapes.*$"):
        list(batches_of(ragged.batch(2)))
