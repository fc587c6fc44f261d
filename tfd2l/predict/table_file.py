"""Answers the rows of a CSV file: reads them, predicts, and writes all of it as CSV."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.basics.files import write_atomically
from pipelines.basics.text import one_line, shown
from pipelines.tables.csv_files import read_cells, separator_of
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError
from tfd2l.common.commands import UsageError
from tfd2l.predict.forms import RowForm
from tfd2l.predict.predictor import Predictor

__all__ = ["answer_table"]


def answer_table(file: str, predictor: Predictor, form: RowForm, output: Path | None) -> int:
    """Write the rows of a CSV file with the model's answers, whole or not at all.

    The values stay as the file spells them. A regression adds the column `prediction`; a classifier
    adds `label`, and a probability for each class.

    Args:
        file: a name; '-' is standard input.
        predictor: a model of a table.
        form: the form of its rows.
        output: the file to write, in UTF-8; None for standard output.

    Returns:
        The exit status 0.

    Raises:
        UsageError: the file can't be read, or its rows are not those that the model takes.
        ServingError: the model can't be reached, or gives no proper answer.
    """
    dialect = Dialect(**form.dialect or {})
    try:
        cells, separator = _read(file, dialect)
    except TableError as error:
        raise UsageError(
            f"{error} The file must be CSV with the columns {shown([*form.columns])}, which "
            f"{predictor} takes."
        ) from error
    for name, values in _answers(predictor, form, cells).items():
        cells[_free_name(name, cells, file)] = values
    text = cells.to_csv(
        index=False,
        lineterminator="\n",
        sep=separator,
        decimal=dialect.decimal,
        quotechar=dialect.quotechar,
    )
    if output is None:
        print(text, end="")
    else:
        write_atomically(output.resolve(), text)
    return 0


def _read(file: str, dialect: Dialect) -> tuple[pd.DataFrame, str]:
    """Read the values as the file spells them, and their separator."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(file)
        if file == "-":
            # A pipe can be read only once.
            path = Path(folder) / "standard input"
            path.write_bytes(sys.stdin.buffer.read())
        try:
            chunks = [*read_cells(path, dialect=dialect)]
            separator = separator_of(path, dialect)
        except OSError as error:
            raise UsageError(f"{one_line(file)} can't be read: {error.strerror}.") from error
        except TableError as error:
            raise TableError(str(error).replace(f"{folder}/", "")) from error
    if not any(map(len, chunks)):
        raise UsageError(f"{one_line(file)} must have a row below its header.")
    return pd.concat(chunks), separator


def _free_name(name: str, cells: pd.DataFrame, file: str) -> str:
    """Return the name for a column of answers, and say so if the file has the usual one."""
    free = name
    while free in cells:
        free = f"predicted_{free}"
    if free != name:
        print(
            f"note: {one_line(file)} has a column {shown(name)}, so that of the answers is "
            f"{shown(free)}",
            file=sys.stderr,
        )
    return free


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
