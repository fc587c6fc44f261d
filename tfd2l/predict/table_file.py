"""Answers the rows of a CSV file: reads them, predicts, and writes all of it as CSV."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.basics.files import write_atomically
from pipelines.basics.text import one_line, shown
from tfd2l.common.commands import UsageError
from tfd2l.predict.forms import RowForm
from tfd2l.predict.predictor import Predictor

__all__ = ["answer_table"]

# Arguments of `pandas.read_csv` that say how text becomes values; the others split it into cells.
_OF_VALUES = {"decimal", "thousands", "na_values", "keep_default_na", "na_filter", "true_values",
              "false_values", "dtype", "parse_dates", "date_format", "dayfirst"}  # fmt: skip


def answer_table(file: str, predictor: Predictor, form: RowForm, output: Path | None) -> int:
    """Write the rows of a CSV file with the model's answers, whole or not at all.

    The cells stay as they are in the file. A regression adds the column `prediction`; a classifier
    adds `label`, and a probability for each class.

    Args:
        file: a name; '-' is standard input.
        predictor: a model of a table.
        form: the form of its rows.
        output: the file to write; None for standard output.

    Returns:
        The exit status 0.

    Raises:
        UsageError: the file can't be read, or its rows are not those that the model takes.
        ServingError: the model can't be reached, or gives no proper answer.
    """
    dialect = form.dialect or {}
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        cells, rows = _read_rows(data, form, dialect)
    except OSError as error:
        raise UsageError(f"{one_line(file)}: the file can't be read: {error.strerror}.") from error
    except ValueError as error:  # pandas' errors, and text that is not UTF-8
        raise UsageError(
            f"{one_line(file)} can't be read as CSV: {one_line(str(error), 200).rstrip('.')}. "
            f"{predictor} takes rows with the columns {shown([*form.columns])}."
        ) from error
    for name, values in _answers(predictor, form, rows).items():
        free = name
        while free in cells:
            free = f"predicted_{free}"
        if free != name:
            print(f"note: {one_line(file)} has a column {name!r}, so the answers' is {free!r}",
                  file=sys.stderr)  # fmt: skip
        cells[free] = values
    text = cells.to_csv(
        index=False,
        lineterminator="\n",
        decimal=dialect.get("decimal", "."),
        sep=separator if len(separator := dialect.get("sep") or ",") == 1 else ",",
    )
    if output is None:
        print(text, end="")
    else:
        write_atomically(output.resolve(), text)
    return 0


def _read_rows(
    data: bytes, form: RowForm, dialect: Mapping[str, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the file twice: its cells as text to write again, and its values for the model."""
    layout = {name: value for name, value in dialect.items() if name not in _OF_VALUES}
    cells = pd.read_csv(io.BytesIO(data), dtype=str, na_filter=False, **layout)
    if not isinstance(cells.index, pd.RangeIndex):
        # pandas takes the first values of such rows for an index.
        raise ValueError("its rows have more values than its header")
    texts = {name: str for name, spec in form.columns.items() if spec.dtype == "string"}
    return cells, pd.read_csv(io.BytesIO(data), dtype=texts, **dialect)


def _answers(predictor: Predictor, form: RowForm, rows: pd.DataFrame) -> dict[str, Any]:
    """Predict, and return the columns to add."""
    if form.is_number:
        return {"prediction": predictor.regress(rows).prediction}
    classified = predictor.classify(rows)
    # Each row has all the classes, in an order of its own.
    order = np.argsort(classified.classes, axis=1)
    scores = np.take_along_axis(classified.scores, order, axis=1)
    by_name = dict(zip(np.sort(classified.classes[0]).tolist(), scores.T, strict=True))
    names = form.labels if {*form.labels} == by_name.keys() else by_name
    probabilities = {f"probability_{name}": by_name[name] for name in names}
    return {"label": classified.classes[:, 0], **probabilities}
