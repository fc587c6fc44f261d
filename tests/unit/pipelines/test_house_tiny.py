"""pipelines/house_tiny.py: the tiny table, written and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines import house_tiny


def test_the_file_is_the_books(tmp_path: Path) -> None:
    house_tiny.write(tmp_path / "data" / "house_tiny.csv")
    assert (tmp_path / "data" / "house_tiny.csv").read_text() == (
        "NumRooms,RoofType,Price\nNA,NA,127500\n2,NA,106000\n4,Slate,178100\nNA,NA,140000\n"
    )
    assert len([*(tmp_path / "data").iterdir()]) == 1


def test_the_tensors_are_the_books(tmp_path: Path) -> None:
    house_tiny.write(tmp_path / "house_tiny.csv")
    X, y = house_tiny.load(tmp_path / "house_tiny.csv")
    np.testing.assert_array_equal(X, [[3, 0, 1], [2, 0, 1], [4, 1, 0], [3, 0, 1]])
    np.testing.assert_array_equal(y, [127500, 106000, 178100, 140000])
    assert (X.dtype.name, y.dtype.name) == ("float64", "float64")


def test_deletion_keeps_only_complete_rows_or_columns(tmp_path: Path) -> None:
    house_tiny.write(tmp_path / "house_tiny.csv")
    X, y = house_tiny.load(tmp_path / "house_tiny.csv", missing="drop_rows")
    np.testing.assert_array_equal(X, [[4, 1]])
    np.testing.assert_array_equal(y, [178100])
    # Both input columns have missing values.
    X, y = house_tiny.load(tmp_path / "house_tiny.csv", missing="drop_columns")
    assert (X.shape, y.shape) == ((4, 0), (4,))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        house_tiny.load(tmp_path / "none.csv")
