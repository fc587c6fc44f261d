"""pipelines/tensors.py: what becomes a tensor, and the words for what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipelines.tensors import as_tensor, described, tensors_in_memory

TABLE = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})


def test_numbers_keep_their_dtype_and_lists_get_tensorflows() -> None:
    kinds = {
        "float64": np.ones(2),
        "uint8": np.ones(2, np.uint8),
        "int64": pd.Series([1, 2], index=[5, 6]),
        "float32": [1, 2.5],
        "int32": [[1, 2], [3, 4]],
        "string": ["a", "b"],
    }
    for name, value in kinds.items():
        assert as_tensor(value).dtype.name == name
    np.testing.assert_array_equal(as_tensor(kinds["int64"]), [1, 2])
    sparse = tf.sparse.from_dense([1, 0])
    assert as_tensor(sparse) is sparse


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([[1, 2], [3]], dtype=object), r"^ndarray \(2,\) object can't become"),
        ([[1, 2], [3]], r"^list \[\[1, 2\], \[3\]\] can't become a tensor.*pad rows"),
        (TABLE, r"^DataFrame \(2, 2\) with the columns .*'b': '.*encode text.*get_dummies"),
        (None, "^None can't become"),
    ],
    ids=["objects", "rows", "text", "nothing"],
)
def test_other_objects_are_refused_in_a_line_with_the_remedy(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        as_tensor(value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_the_remedies_for_tables_work() -> None:
    dummies = pd.get_dummies(TABLE)
    with pytest.raises(ValueError, match=r"'b_x': 'bool'.*X\.astype\('float32'\)"):
        as_tensor(dummies)
    np.testing.assert_array_equal(as_tensor(dummies.astype("float32")), [[1, 1, 0], [2, 0, 1]])


@pytest.mark.parametrize("arrays", [np.ones((2, 2)), tf.ones((2, 2)), TABLE, {"a": [1, 2]}])
def test_one_array_in_place_of_a_tuple_is_refused(arrays: Any) -> None:
    with pytest.raises(TypeError, match=r"a tuple, such as \(X, y\), or \(X,\) for one; got"):
        tensors_in_memory(arrays)


@pytest.mark.parametrize(
    "array", [tf.ragged.constant([[1, 2], [3]]), tf.sparse.from_dense([[1, 0], [0, 2]])]
)
def test_tensors_without_one_shape_are_refused_with_the_remedy(array: Any) -> None:
    with pytest.raises(ValueError, match=r"got (Ragged|Sparse)Tensor.*from_tensor_slices"):
        tensors_in_memory((array, [0, 1]))


def test_a_description_stays_short() -> None:
    wide = pd.DataFrame({f"column {i}": [0] for i in range(1000)})
    assert len(described(wide)) < 400
    assert len(described([0] * 10_000)) < 200
