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
from pipelines.idx_files import DataError
from tfd2l.serve.models import ServedModels

__all__ = ["list_models", "list_samples", "prepare_image", "send_file"]

_LOG = logging.getLogger(__name__)
_NUM_SAMPLES = 20

_FILES = Path(__file__).with_name("page_files")


def send_file(models: ServedModels, request: Request, name: str = "index.html") -> Response:
    """Send a file of the page."""
    return send_from_directory(_FILES, name, request.environ)


def list_models(models: ServedModels, request: Request) -> dict[str, str]:
    """Return the highest version of each model that classifies images, by the model's name."""
    found = {}
    for name in models.available():
        version = models.version(name)
        inputs = version.signatures["serving_default"].inputs
        if inputs.keys() == {"image"} and "classify" in version.signatures:
            # As text: a browser's numbers are exact up to 2**53 only, a version's go to 2**63.
            found[name] = str(version.number)
    return found


def list_samples(models: ServedModels, request: Request) -> list[dict[str, Any]]:
    """Return some test images of Fashion-MNIST; none where this machine has no copy of the data."""
    return _samples()


def prepare_image(models: ServedModels, request: Request) -> dict[str, Any]:
    """Convert an image file to the pixels that the model sees.

    Raises:
        werkzeug.exceptions.HTTPException: 400; it is no image. 413; it is too long.
    """
    # Pillow is for this alone.
    from tfd2l.predict.images import ImageError, read_image

    try:
        image = read_image(request.get_data(cache=False))
    except ImageError as error:
        abort(400, str(error))
    return {
        "pixels": image.pixels.tolist(),
        "notes": [*image.notes],
        "shows_garment": image.shows_garment,
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
