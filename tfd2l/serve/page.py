"""Serves the web page, and tells it about the models that it can query."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tfd2l.predict.forms import ImageForm, RowForm
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page_inputs import feature_names, page_form

__all__ = ["FILES", "list_models", "list_samples", "send_file"]

_LOG = logging.getLogger(__name__)
_NUM_SAMPLES = 20

_FOLDER = Path(__file__).with_name("page_files")
# The scripts and styles of the page.
FILES = sorted(path.name for path in _FOLDER.glob("*.*s*") if path.suffix in (".css", ".js"))


def send_file(models: ServedModels, request: Request, name: str = "index.html") -> Response:
    """Send a file of the page."""
    return send_from_directory(_FOLDER, name, request.environ)


def list_models(models: ServedModels, request: Request) -> dict[str, dict[str, Any]]:
    """Describe each model that the page can query, by the model's name.

    `version` is the highest, `kind` 'image' or 'rows'. Images have `shape` and `framing`. Rows have
    `columns`, each with `name`, `kind` ('number', 'category', 'date' or 'text'), `dtype`, `choices`
    and `example`; `is_table` is false for numbers without names, and `takes_missing` says whether a
    value may be left out. `labels` names the classes as far as the card does, `number` is the
    target of a regression, null for a classifier, and `evaluation` is that of the card, or null.
    """
    found = {}
    for name in models.available():
        version = models.version(name)
        if (form := page_form(version)) is not None:
            about = version.card.get("output", {})
            found[name] = _description(form, version.card) | {
                # As text: a browser's numbers are exact up to 2**53 only, a version's go to 2**63.
                "version": str(version.number),
                "labels": about.get("labels", []),
                "number": about.get("name") or "prediction" if form.is_number else None,
                "evaluation": version.card.get("evaluation"),
            }
    return found


def list_samples(models: ServedModels, request: Request) -> list[dict[str, Any]]:
    """Return some test images of Fashion-MNIST; none where this machine has no copy of the data."""
    return _samples()


def _description(form: ImageForm | RowForm, card: dict[str, Any]) -> dict[str, Any]:
    if isinstance(form, ImageForm):
        shape = [*form.size, form.channels]
        return {"kind": "image", "shape": shape, "framing": form.framing}
    if not form.is_table:
        columns = [_column(name, "float32", "number") for name in feature_names(form)]
        return {"kind": "rows", "is_table": False, "takes_missing": False, "columns": columns}
    about, kinds = card.get("input", {}), card.get("data", {}).get("columns", {})
    choices, example = about.get("choices", {}), about.get("example", {})
    columns = [
        _column(
            name,
            spec.dtype,
            kinds.get(name) or ("text" if spec.dtype == "string" else "number"),
            choices.get(name, []),
            example.get(name),
        )
        for name, spec in form.columns.items()
    ]
    takes_missing = about.get("takes_missing", True)
    return {"kind": "rows", "is_table": True, "takes_missing": takes_missing, "columns": columns}


def _column(
    name: str, dtype: str, kind: str, choices: list[str] | None = None, example: Any = None
) -> dict[str, Any]:
    """Describe a column, the page's field for it."""
    return {
        "name": name,
        "dtype": dtype,
        "kind": kind,
        "choices": choices or [],
        "example": example,
    }


@cache
def _samples() -> list[dict[str, Any]]:
    try:
        arrays = fashion_mnist.load(download=False)
    except DataError as error:
        _LOG.info("no test images for the page: %s", error)
        return []
    pairs = zip(arrays.val_images[:_NUM_SAMPLES], arrays.val_labels, strict=False)
    return [
        {"pixels": image.tolist(), "label": fashion_mnist.LABELS[label]} for image, label in pairs
    ]
