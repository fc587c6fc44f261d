"""pipelines/tables/targets.py and splits.py: the task, the classes, and the rows for validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.errors import TableError
from pipelines.tables.splits import split
from pipelines.tables.targets import learn_target


def target(values: Any, dtype: Any = "str") -> pd.Series:
    made: pd.Series = pd.Series(values, name="y", dtype=dtype)
    return made


@pytest.mark.parametrize(
    ("values", "labels", "rule"),
    [
        (target(["b", "a", "b"]), ("a", "b"), "classification, as 'y' has 2 classes"),
        (target([True, False], bool), ("False", "True"), "2 classes"),
        (target(["TRUE", "false"]), ("False", "True"), "2 classes"),
        (target(["1", "0", "1"]), ("0", "1"), "classification, as 'y' has two different numbers"),
        (target([0.0, 1.0], float), ("0", "1"), "two different numbers"),
        (target(["01", "02", "10"]), ("01", "02", "10"), "3 classes"),
        (target([2, 10, 1], "category"), ("1", "2", "10"), "3 classes"),
        (target([1, 2, 10], int), None, "regression, as 'y' has 3 different numbers"),
        (target(["1.5", "2", "3"]), None, "regression"),
    ],
)
def test_the_values_decide_between_classes_and_numbers(
    values: pd.Series, labels: tuple[str, ...] | None, rule: str
) -> None:
    found = learn_target(values)
    assert found.labels == labels
    assert found.task == ("regression" if labels is None else "classification")
    assert rule in found.rule


def test_a_given_task_decides() -> None:
    grades = target([3, 1, 10, 3], int)
    found = learn_target(grades, "classification")
    assert (found.labels, found.rule) == (
        ("1", "3", "10"), "classification, as task='classification' was given",
    )  # fmt: skip
    np.testing.assert_array_equal(found.class_ids(grades), [1, 0, 2, 1])
    assert found.class_ids(grades).dtype == np.int32
    assert learn_target(target(["0", "1"]), "regression").labels is None
    with pytest.raises(ValueError, match="task must be 'classification' or 'regression'; got 'x'"):
        learn_target(grades, "x")  # type: ignore[arg-type]


def test_classes_are_the_same_in_texts_and_types() -> None:
    found = learn_target(target(["0", "1"]))
    for values in (target([1.0, 0.0], float), target([1, 0], int), target(["1.0", "0"])):
        np.testing.assert_array_equal(found.class_ids(values), [1, 0])
    found = learn_target(target(["yes", "no"]))
    np.testing.assert_array_equal(found.class_ids(target([" yes", "no"])), [1, 0])
    with pytest.raises(TableError, match=r"'y', row 1: training has no class 'Yes'; it has \['no'"):
        found.class_ids(target(["yes", "Yes"]))


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["5", "5"], None, "'y' is '5' in every row; there is nothing to learn"),
        (["a", "a"], None, "'y' is 'a' in every row"),
        (["a", "b"], "regression", "'y' has texts, such as 'a', so it can't be predicted as"),
        (["2020-01-01", "2020-01-02"], None, "'y' has dates; turn them into numbers"),
        (["$5", "$6"], None, r"'\$5' looks like a number.*units="),
        (["1", "x"], None, "'x' is no number"),
        ([f"name {n}" for n in range(30)], None, "has 30 categories; it names rows"),
    ],
)
def test_targets_from_which_nothing_can_be_learned_are_refused(
    values: list[str], task: Any, message: str
) -> None:
    with pytest.raises(TableError, match=message):
        learn_target(target(values), task)


@given(st.integers(1, 60), st.floats(0, 0.9), st.integers(0, 9))
def test_each_row_is_in_one_part_and_the_seed_decides(rows: int, share: float, seed: int) -> None:
    train, val = split(rows, share, seed)
    assert sorted([*train, *val]) == list(range(rows))
    assert len(train) >= 1
    assert len(val) >= (1 if share and rows > 1 else 0)
    assert abs(len(val) - share * rows) <= 1
    for again, part in zip(split(rows, share, seed), (train, val), strict=True):
        np.testing.assert_array_equal(again, part)


def test_another_seed_draws_other_rows_and_each_class_its_share() -> None:
    ids = np.repeat(np.arange(4, dtype=np.int32), [50, 20, 3, 1])
    train, val = split(74, 0.2, 0, ids)
    # A fifth of 50, 20 and 3 rows; the only row of the last class is for training.
    assert np.bincount(ids[val], minlength=4).tolist() == [10, 4, 1, 0]
    assert np.bincount(ids[train], minlength=4).tolist() == [40, 16, 2, 1]
    assert split(74, 0.2, 1, ids)[1].tolist() != val.tolist()
    # Where no class has enough rows, one row is still validated on.
    assert len(split(4, 0.1, 0, np.array([0, 0, 1, 1], np.int32))[1]) == 1
