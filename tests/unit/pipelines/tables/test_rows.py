"""pipelines/tables/rows.py: rows for a served model, without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipelines.tables.errors import TableError
from pipelines.tables.rows import rows_for

COLUMNS = {"Rooms": tf.float32, "Roof": tf.string}


def test_numbers_become_float32_and_texts_str() -> None:
    frame = pd.DataFrame(
        {"Id": ["1", "2"], "Roof": ["Tin", None], "Rooms": [None, "2.5"]}, dtype="str"
    )
    for columns in (COLUMNS, {"Rooms": "float32", "Roof": "string"}):
        found = rows_for(frame, columns)
        assert list(found) == ["Rooms", "Roof"]
        assert (found["Rooms"].dtype, found["Roof"].dtype) == (np.float32, object)
        np.testing.assert_array_equal(found["Rooms"], [np.nan, 2.5])
        assert found["Roof"].tolist() == ["Tin", ""]


def test_a_column_that_is_missing_or_no_number_is_refused() -> None:
    frame = pd.DataFrame({"rooms": ["1"], "Roof": ["Tin"]}, index=[2])
    with pytest.raises(TableError, match=r"no column 'Rooms'; did you mean 'rooms'\?"):
        rows_for(frame, COLUMNS)
    with pytest.raises(TableError, match=r"column 'Rooms', row 2: 'many' is no number"):
        rows_for(frame.assign(Rooms=["many"]), COLUMNS)


def test_a_table_is_read_for_a_served_model_without_tensorflow(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("Rooms;Roof\n1,5;Tin\n")
    code = (
        "import sys\n"
        "from pipelines.tables.csv_files import read_table\n"
        "from pipelines.tables.dialect import Dialect\n"
        "from pipelines.tables.rows import rows_for\n"
        f"frame = read_table({str(path)!r}, Dialect(decimal=','))\n"
        "print(rows_for(frame, {'Rooms': 'float32', 'Roof': 'string'}))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "1.5" in said.stdout
    assert "Tin" in said.stdout
