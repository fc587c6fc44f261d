"""tfd2l/book/aliases.py: the book's short names, on numbers worked by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.book import aliases

# The aliases at the end of the book's TensorFlow module, 1.0.3.
BOOKS = """
    abs arange argmax astype batch_matmul concat cos cosh exp expand_dims eye float32 int32 int64
    linspace log matmul meshgrid normal numpy ones ones_like rand reduce_mean reduce_sum repeat
    reshape sigmoid sin sinh size stack tanh tensor transpose zeros zeros_like
"""


def test_all_of_the_books_aliases_exist() -> None:
    assert {*BOOKS.split()} <= {*d2l.__all__}


def test_each_alias_of_the_file_is_public() -> None:
    tree = ast.parse(Path(aliases.__file__).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    defined |= {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
    assert defined <= {*d2l.__all__}


def test_a_line_of_the_book_runs_unchanged() -> None:
    X = d2l.reshape(d2l.arange(12, dtype=d2l.float32), (3, 4))
    assert float(d2l.reduce_sum(X)) == 66
    np.testing.assert_array_equal(d2l.reduce_mean(X, axis=0), [4, 5, 6, 7])
    np.testing.assert_array_equal(d2l.argmax(X, axis=1), [3, 3, 3])
    assert d2l.concat([X, X], axis=0).shape == (6, 4)
    np.testing.assert_array_equal(d2l.astype(X > 9, d2l.int32)[2], [0, 0, 1, 1])
    assert d2l.size(X) == 12
    np.testing.assert_array_equal(d2l.numpy(d2l.matmul(X, d2l.ones((4, 1))))[:, 0], [6, 22, 38])


@pytest.mark.parametrize("compiled", [False, True])
def test_reshape_takes_a_bare_number_compiled_or_not(compiled: bool) -> None:
    def flatten(X: tf.Tensor) -> tf.Tensor:
        return d2l.reshape(X, -1)

    function = tf.function(flatten) if compiled else flatten
    np.testing.assert_array_equal(function(tf.constant([[1, 2], [3, 4]])), [1, 2, 3, 4])


def test_randn_takes_sizes_as_pytorch_does_or_one_tuple() -> None:
    tf.random.set_seed(0)
    X = d2l.randn(1000, 10).numpy()
    # The standard error of 10,000 draws is 0.01.
    assert abs(X.mean()) < 0.05
    assert abs(X.std() - 1) < 0.05
    assert d2l.randn(3).shape == d2l.randn((3,)).shape == d2l.randn([3]).shape == (3,)
    assert d2l.randn().shape == ()
    assert d2l.randn(2, 2, dtype=tf.float64).dtype == tf.float64
