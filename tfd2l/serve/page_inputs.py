"""Prepares what a user gives to the web page: image files, and rows pasted from a spreadsheet."""

from __future__ import annotations

import dataclasses
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from werkzeug.exceptions import abort
from werkzeug.wrappers import Request

from pipelines.basics.text import shown
from tfd2l.common.errors import Tfd2lError
from tfd2l.export.loaded import LoadedVersion
from tfd2l.export.signature_types import TensorSpec
from tfd2l.predict.forms import ImageForm, RowForm, raw_form
from tfd2l.serve.models import ServedModels

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MAX_ROWS", "feature_names", "page_form", "prepare_image", "prepare_rows"]

# As many fit into one request, and more are no page that anyone reads.
MAX_ROWS = 1000


def page_form(version: LoadedVersion) -> ImageForm | RowForm | None:
    """Return the form of a model's raw inputs, if the page can query the model."""
    signature = version.signatures["serving_default"]
    form = raw_form(signature, version.card)
    if isinstance(form, ImageForm):
        answers = {"regress" if form.is_number else "classify"} <= version.signatures.keys()
        return form if answers and form.channels in (1, 3) else None
    answers = {"label", "probabilities"} <= signature.outputs.keys()
    return form if form is not None and (form.is_number or answers) else None


def feature_names(form: RowForm) -> list[str]:
    """Name the numbers of a model whose inputs have no names, in their order."""
    [spec] = form.columns.values()
    return [f"feature {number + 1}" for number in range((spec.shape or (None, 0))[1] or 0)]


def prepare_image(models: ServedModels, request: Request) -> dict[str, Any]:
    """Convert an image file to the pixels that a model sees.

    The query names the `model`, the `version` and the `framing`: garment, none or auto, which is
    the model's own.

    Raises:
        werkzeug.exceptions.HTTPException: 400; it is no image, or the model takes none. 404; there
            is no such model. 413; the image is too long.
    """
    # Pillow is for this alone.
    from tfd2l.predict.images import FRAMINGS, ImageError, read_image

    form = _form(models, request)
    if not isinstance(form, ImageForm):
        abort(400, f"model {request.args.get('model')!r} takes no images")
    framings = {"auto": form.framing} | {framing: framing for framing in FRAMINGS}
    if (wanted := request.args.get("framing", "auto")) not in framings:
        abort(400, f"framing must be one of {[*framings]}; got {shown(wanted)}")
    try:
        image = read_image(
            request.get_data(cache=False),
            form.size,
            channels=form.channels or 1,
            framing=framings[wanted],
        )
    except ImageError as error:
        abort(400, str(error))
    return {
        "pixels": image.pixels.tolist(),
        "notes": [*image.notes],
        "shows_garment": image.shows_garment,
        "doubt": image.doubt,
    }


def prepare_rows(models: ServedModels, request: Request) -> dict[str, Any]:
    """Convert the text of a table, CSV or tabs, to the rows that a model takes.

    The query names the `model` and the `version`. The first row names the columns; for numbers
    without names it may be left out. The spelling of values is that of the model's training rows.

    Returns:
        `names` and `cells`, all columns as the text spells them, and `rows`, a list of the model's
        values each, in the order of its columns; a missing number is null, a missing text empty.

    Raises:
        werkzeug.exceptions.HTTPException: 400; the text is no such table, or the model takes no
            rows. 404; there is no such model. 413; the text is too long.
    """
    # pandas, which images don't need, takes long to import.
    from tfd2l.predict.rows import check_rows

    form = _form(models, request)
    if not isinstance(form, RowForm):
        abort(400, f"model {request.args.get('model')!r} takes no rows")
    text = request.get_data(cache=False)
    if not form.is_table:
        names = feature_names(form)
        text = _with_header(text, names)
        form = RowForm(dict.fromkeys(names, TensorSpec("", "float32", (None,))))
    try:
        cells = _read_cells(text, form)
        if len(cells) > MAX_ROWS:
            abort(400, f"the page answers up to {MAX_ROWS} rows at a time; got {len(cells)}. "
                       "python -m tfd2l.predict answers files of any length")  # fmt: skip
        columns = check_rows(cells, form)
    except Tfd2lError as error:
        abort(400, str(error))
    values = [_as_json(columns[name]) for name in form.columns]
    return {
        "names": [*cells.columns],
        "cells": cells.to_numpy().tolist(),
        "rows": [[*row] for row in zip(*values, strict=True)],
    }


def _form(models: ServedModels, request: Request) -> ImageForm | RowForm | None:
    """Return the form of the model that the query names."""
    query = request.args
    return page_form(models.version(query.get("model", ""), query.get("version", type=int)))


def _with_header(text: bytes, names: list[str]) -> bytes:
    """Add a header to a text whose first row has numbers alone."""
    from pipelines.tables.dialect import Dialect, start_of

    start = start_of(io.StringIO(text.decode(errors="replace")), Dialect())
    try:
        [*map(float, start.names)]
    except ValueError:
        return text
    return f"{start.sep.join(names)}\n".encode() + text if start.names else text


def _read_cells(text: bytes, form: RowForm) -> pd.DataFrame:
    """Read a table; a user pastes UTF-8, whatever separator and encoding training had."""
    import pandas as pd

    from pipelines.tables.csv_files import read_cells
    from pipelines.tables.dialect import Dialect
    from pipelines.tables.errors import TableError

    dialect = dataclasses.replace(Dialect(**form.dialect or {}), sep=None, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "the table"
        path.write_bytes(text)
        try:
            cells = pd.concat([pd.DataFrame(), *read_cells(path, dialect=dialect)])
        except TableError as error:
            raise TableError(str(error).replace(f"{folder}/", "")) from error
    if cells.empty:
        raise TableError(
            f"the first row names the columns, {shown([*form.columns])}, and the rows follow below "
            "it; got no row below a header."
        )
    return cells


def _as_json(column: np.ndarray[Any, Any]) -> list[Any]:
    """Convert a column to JSON values: float32 numbers, NaN as None, or texts."""
    if column.dtype == np.float32:
        return [None if np.isnan(number) else float(str(number)) for number in column]
    return [text.decode() for text in column]
