"""Serves the web page, and its requests beside TensorFlow Serving's REST interface."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from werkzeug.exceptions import abort
from werkzeug.utils import send_from_directory
from werkzeug.wrappers import Request, Response

from pipelines import fashion_mnist
from pipelines.basics.text import shown
from pipelines.idx_files import DataError
from tfd2l.export.loaded import LoadedVersion
from tfd2l.predict.forms import ImageForm, RowForm, raw_form
from tfd2l.serve.models import ServedModels

__all__ = ["list_models", "list_samples", "prepare_image", "send_file"]

_LOG = logging.getLogger(__name__)
_NUM_SAMPLES = 20

_FILES = Path(__file__).with_name("page_files")


def send_file(models: ServedModels, request: Request, name: str = "index.html") -> Response:
    """Send a file of the page."""
    return send_from_directory(_FILES, name, request.environ)


def list_models(models: ServedModels, request: Request) -> dict[str, dict[str, Any]]:
    """Describe each model that the page can query, by the model's name.

    `version` is the highest, `kind` 'image', 'table' or 'features'. Images have `shape` and
    `framing`, tables `columns`, features `num_inputs`. `labels` names the classes as far as the
    card does, and `number` the target of a regression; it is null for a classifier.
    """
    found = {}
    for name in models.available():
        version = models.version(name)
        if (form := _form(version)) is not None:
            about = version.card.get("output", {})
            found[name] = _description(form) | {
                # As text: a browser's numbers are exact up to 2**53 only, a version's go to 2**63.
                "version": str(version.number),
                "labels": about.get("labels", []),
                "number": about.get("name") or "prediction" if form.is_number else None,
            }
    return found


def list_samples(models: ServedModels, request: Request) -> list[dict[str, Any]]:
    """Return some test images of Fashion-MNIST; none where this machine has no copy of the data."""
    return _samples()


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

    query = request.args
    form = _form(models.version(query.get("model", ""), query.get("version", type=int)))
    if not isinstance(form, ImageForm):
        abort(400, f"model {query.get('model')!r} takes no images")
    framings = {"auto": form.framing} | {framing: framing for framing in FRAMINGS}
    if (wanted := query.get("framing", "auto")) not in framings:
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
    }


def _form(version: LoadedVersion) -> ImageForm | RowForm | None:
    """Return the form of a model's raw inputs, if the page can query the model."""
    signature = version.signatures["serving_default"]
    form = raw_form(signature, version.card)
    if isinstance(form, ImageForm):
        answers = {"regress" if form.is_number else "classify"} <= version.signatures.keys()
        return form if answers and form.channels in (1, 3) else None
    answers = {"label", "probabilities"} <= signature.outputs.keys()
    return form if form is not None and (form.is_number or answers) else None


def _description(form: ImageForm | RowForm) -> dict[str, Any]:
    if isinstance(form, ImageForm):
        shape = [*form.size, form.channels]
        return {"kind": "image", "shape": shape, "framing": form.framing}
    if form.is_table:
        columns = {name: spec.dtype for name, spec in form.columns.items()}
        return {"kind": "table", "columns": columns}
    [spec] = form.columns.values()
    return {"kind": "features", "num_inputs": (spec.shape or (None, None))[1]}


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
