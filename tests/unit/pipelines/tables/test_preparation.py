"""pipelines/tables: statistics, preparation and batches: gaps, chunks, and errors."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tables.batches import dataset, streamed, to_tensors
from pipelines.tables.csv_files import read_chunks, read_table, write_table
from pipelines.tables.errors import TableError
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import Statistics, fit

CSV = "Rooms,Roof,Price\nNA,NA,100\n2,,200\n4,Slate,300\n,Tin,400\n"


def written(tmp_path: Path, text: str | bytes = CSV) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_missing_values_become_the_mean_or_a_column_of_their_own(
    tmp_path: Path,
) -> None:
    frame = read_table(written(tmp_path))
    inputs, target = prepare(frame, fit(frame, "Price"))
    assert list(inputs) == ["Rooms", "Roof_Slate", "Roof_Tin", "Roof_nan"]
    np.testing.assert_array_equal(inputs, [[3, 0, 0, 1], [2, 0, 0, 1], [4, 1, 0, 0], [3, 0, 1, 0]])
    assert target is not None
    np.testing.assert_array_equal(target, [100, 200, 300, 400])
    assert (inputs.dtypes == np.float64).all()


def test_rows_or_columns_with_missing_values_are_deleted(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,b,y\n1,x,1\nNA,x,2\n3,z,3\n"))
    inputs, target = prepare(frame, fit(frame, "y", missing="drop_rows"))
    np.testing.assert_array_equal(inputs, [[1, 1, 0], [3, 0, 1]])
    assert target is not None
    np.testing.assert_array_equal(target, [1, 3])
    inputs, target = prepare(frame, fit(frame, "y", missing="drop_columns"))
    assert list(inputs) == ["b_x", "b_z"]
    assert len(inputs) == 3


def test_statistics_come_from_the_training_rows_alone() -> None:
    train = pd.DataFrame({"a": ["1", "3"]}, dtype="str")
    later = pd.DataFrame({"a": ["100", None]}, dtype="str")
    inputs, target = prepare(later, fit(train))
    np.testing.assert_array_equal(inputs, [[100], [2]])
    assert target is None


def test_at_prediction_columns_may_have_another_order_and_new_categories(
    tmp_path: Path,
) -> None:
    statistics = fit(read_table(written(tmp_path)), "Price")
    frame = pd.DataFrame({"Other": ["?"], "Roof": ["Straw"], "Rooms": ["5"]}, dtype="str")
    inputs, target = prepare(frame, statistics)
    np.testing.assert_array_equal(inputs, [[5, 0, 0, 0]])
    assert target is None


def test_statistics_survive_json(tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path)), "Price")
    assert Statistics.from_json(statistics.to_json()) == statistics


def test_prepared_rows_become_tensors_and_batches(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path))
    inputs, target = prepare(frame, fit(frame, "Price"))
    X, y = to_tensors(inputs, target)
    assert (X.shape, X.dtype.name, y.shape) == ((4, 4), "float64", (4,))
    assert target is not None
    batches = list(dataset(inputs, target, 3, shuffle=False))
    assert [(b.shape, p.shape) for b, p in batches] == [((3, 4), (3, 1)), ((1, 4), (1, 1))]
    np.testing.assert_array_equal(batches[0][1][:, 0], [100, 200, 300])


CELL = st.one_of(st.none(), st.floats(-1e9, 1e9).map(repr), st.integers(-9, 9).map(str))
KIND = st.one_of(st.none(), st.sampled_from(["Slate", "Tin", "a, b", 'say "x"', "zwei\nZeilen"]))
ROWS = st.lists(st.tuples(CELL, KIND, st.integers(0, 9).map(str)), min_size=1, max_size=30)


@pytest.mark.slow
@settings(max_examples=25)
@given(rows=ROWS, chunk_rows=st.integers(1, 7))
def test_chunks_give_the_result_of_the_whole_up_to_rounding(
    rows: list[tuple[str | None, ...]], chunk_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    write_table(
        pd.DataFrame([("1", "Slate", "0"), *rows], columns=["a", "b", "y"], dtype="str"), path
    )
    whole = read_table(path)
    statistics = fit(whole, "y", categorical=["b"])
    chunked = fit(read_chunks(path, chunk_rows), "y", categorical=["b"])
    # Sums of float64 in another order; a mean may cancel to nearly 0.
    assert chunked.means == pytest.approx(statistics.means, rel=1e-12, abs=1e-6)
    assert dataclasses.replace(chunked, means=statistics.means) == statistics
    inputs, target = prepare(whole, statistics)
    assert not inputs.isna().any(axis=None)
    pieces = [prepare(frame, statistics) for frame in read_chunks(path, chunk_rows)]
    pd.testing.assert_frame_equal(pd.concat([piece[0] for piece in pieces]), inputs)
    assert target is not None
    assert [float(y) for _, ys in pieces if ys is not None for y in ys] == list(target)


def test_a_file_streams_in_chunks_to_the_same_batches(tmp_path: Path) -> None:
    path = written(tmp_path)
    frame = read_table(path)
    statistics = fit(frame, "Price")
    inputs, target = prepare(frame, statistics)
    assert target is not None
    expected = list(dataset(inputs, target, 3, shuffle=False))
    for chunk_rows in (1, 3, 100):
        found = list(streamed(path, statistics, 3, chunk_rows))
        for (X, y), (other_X, other_y) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(X, other_X)
            np.testing.assert_array_equal(y, other_y)


BAD_FILES = {
    "text": ("Rooms,Roof,Price\n1,Tin,5\nmany,Tin,6\n", r"column 'Rooms', row 3: 'many' is no"),
    "ragged": ("Rooms,Roof,Price\n1,Tin,5\n2,Tin\n", r"row 3: 2 values for 3 columns"),
    "no target": ("Rooms,Roof\n1,Tin\n", r"no column for the target, 'Price'; a streamed table"),
    "no price": ("Rooms,Roof,Price\n1,Tin,5\n2,Tin,\n", r"row 3: the target has no value"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_streamed_table_raises_the_tables_own_error(kind: str, tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path)), "Price")
    text, message = BAD_FILES[kind]
    rows = streamed(written(tmp_path, text), statistics, 1, chunk_rows=1)
    for _ in range(2):
        batches = iter(rows)
        if kind != "no target":
            X, y = next(batches)
            assert (X[0, 0], y[0, 0]) == (1, 5)
        with pytest.raises(TableError, match=message) as caught:
            next(batches)
        # No error of TensorFlow comes along.
        assert caught.value.__context__ is None


def test_a_streamed_file_that_is_damaged_or_missing_keeps_its_own_error(tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path)), "Price")
    with pytest.raises(TableError, match="is not UTF-8") as caught:
        list(streamed(written(tmp_path, b"Rooms,Roof,Price\n1,\xff,5\n"), statistics, 1))
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)
    with pytest.raises(FileNotFoundError, match="absent"):
        list(streamed(tmp_path / "absent.csv", statistics, 1))
    for batch_size, chunk_rows in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match=r"(batch_size|chunk_rows) must be a whole number"):
            streamed(written(tmp_path), statistics, batch_size, chunk_rows)


def test_standardized_numbers_have_mean_0_and_deviation_1(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,b,y\n1,7,10\n2,NA,20\nNA,7,30\n6,7,40\n"))
    statistics = fit(frame, "y", standardize=True)
    # 1, 2 and 6: mean 3, squares 4 + 1 + 9 over 3 - 1. The target stays as it is.
    assert statistics.means == {"a": 3, "b": 7}
    assert statistics.deviations == {"a": pytest.approx(math.sqrt(7), rel=1e-12), "b": 1}
    inputs, target = prepare(frame, statistics)
    # A gap is at the mean, and a column of one value is 0 throughout.
    expected = np.array([[-2, 0], [-1, 0], [0, 0], [3, 0]]) / [math.sqrt(7), 1]
    np.testing.assert_allclose(inputs, expected, rtol=1e-12)
    assert target is not None
    np.testing.assert_array_equal(target, [10, 20, 30, 40])


def test_other_rows_are_standardized_by_the_training_rows(tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path, "a\n1\n3\n")), standardize=True)
    later = pd.DataFrame({"a": ["5", None]}, dtype="str")
    # Mean 2, deviation sqrt(2).
    expected = np.array([[3 / math.sqrt(2)], [0]])
    np.testing.assert_allclose(prepare(later, statistics)[0], expected, rtol=1e-12)


def test_numbers_are_not_standardized_by_default(tmp_path: Path) -> None:
    assert fit(read_table(written(tmp_path)), "Price").deviations == {}


def test_a_single_row_is_standardized_to_zero(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a\n5\n"))
    np.testing.assert_array_equal(prepare(frame, fit(frame, standardize=True))[0], [[0]])


def test_text_among_numbers_is_refused_with_column_and_row(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,y\n1,1\nthree,2\n"))
    with pytest.raises(TableError, match=r"column 'a', row 3: 'three' is no number.*categorical="):
        fit(frame, "y")
    assert fit(frame, "y", categorical=["a"]).categories == {"a": ("1", "three")}
    statistics = fit(read_table(written(tmp_path, "a,y\n1,1\n")), "y")
    with pytest.raises(TableError, match=r"column 'a', row 3: 'three' is no number"):
        prepare(frame, statistics)


def test_missing_columns_targets_and_values_are_refused_by_name(tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path)), "Price")
    with pytest.raises(TableError, match=r"column 'Roof' is missing"):
        prepare(pd.DataFrame({"Rooms": ["1"]}, dtype="str"), statistics)
    with pytest.raises(TableError, match=r"no column 'Cost'"):
        fit(read_table(written(tmp_path)), "Cost")
    frame = read_table(written(tmp_path, "a,y\n1,1\n2,\n"))
    statistics = fit(frame, "y")
    with pytest.raises(TableError, match=r"column 'y', row 3: the target has no value"):
        prepare(frame, statistics)
    with pytest.raises(TableError, match=r"column 'a' has no value in any row.*drop_columns"):
        fit(read_table(written(tmp_path, "a,y\n,1\n")), "y")


def test_a_category_whose_column_would_repeat_a_name_is_refused(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a,a_b\nb,1\nc,2\n"))
    with pytest.raises(TableError, match=r"prepared table names column 'a_b' more than once"):
        fit(frame)
    with pytest.raises(TableError, match=r"prepared table names column 'a_nan' more than once"):
        fit(read_table(written(tmp_path, "a,a_nan\nb,1\nc,2\n")))


def test_prepared_numbers_that_overflow_are_refused(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, "a\n1.7e308\n-1.7e308\n"))
    with pytest.raises(TableError, match=r"column 'a': the distances .* float64"):
        fit(frame, standardize=True)
    statistics = fit(read_table(written(tmp_path, "a,y\n0,1\n1e-300,2\n")), "y", standardize=True)
    other = read_table(written(tmp_path, "a,y\n0,1\n1e300,2\n"))
    with pytest.raises(TableError, match=r"column 'a', row 3: the number is too large for float64"):
        prepare(other, statistics)
    frame = read_table(written(tmp_path, "a,y\n1,1\n1e39,2\n3,1e39\n"))
    inputs, target = prepare(frame, fit(frame, "y"))
    assert target is not None
    with pytest.raises(TableError, match=r"column 'a', row 3: the number is too large for float32"):
        dataset(inputs, target, 2, shuffle=False)
    with pytest.raises(TableError, match=r"column 'y', row 4: the number is too large for float32"):
        dataset(inputs.assign(a=0.0), target, 2, shuffle=False)


@pytest.mark.slow
def test_an_error_stays_a_line_however_long_names_and_texts_are(tmp_path: Path) -> None:
    name, text = "n" * 10_000, "t\x1b" * 10_000
    columns = ",".join(f"{name}{number}" for number in range(100))
    frame = read_table(written(tmp_path, f"{columns}\n" + ",".join(["1"] * 100) + "\n"))
    for columns_ in ([f"{name}0"], []):
        with pytest.raises(TableError) as error:
            prepare(frame[columns_], fit(frame))
        assert len(str(error.value)) < 1000
    frame = read_table(written(tmp_path, f"a\n1\n{text}\n"))
    with pytest.raises(TableError, match=r"column 'a', row 3: 'tt?") as error:
        fit(frame)
    assert str(error.value).isprintable()


def test_the_error_names_the_wrong_text_though_rows_share_their_names(tmp_path: Path) -> None:
    statistics = fit(read_table(written(tmp_path, "a\n1\n2\n")))
    frame = pd.DataFrame({"a": ["1", "two"]}, index=[7, 7], dtype="str")
    with pytest.raises(TableError, match=r"column 'a', row 7: 'two' is no number"):
        prepare(frame, statistics)
