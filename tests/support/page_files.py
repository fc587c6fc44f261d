"""Files for the web page, and versions of the model that answers it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import FilePayload

from tests.support.small_models import LABELS, Scratch, preprocess
from tfd2l.export.signatures import export_classifier

__all__ = ["ANSWER_MS", "TEXT_FILE", "grey", "image_file", "publish_scratch"]

# Enough for a slow machine; other tests measure the server.
ANSWER_MS = 20_000
TEXT_FILE: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear Sir"}


def image_file(
    pixels: np.ndarray[Any, Any], name: str = "image.png", kind: str = "png"
) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return {"name": name, "mimeType": f"image/{kind}", "buffer": file.getvalue()}


def grey(value: int) -> FilePayload:
    """A bright image of 28 x 28 pixels on a dark ground, which is taken as it is."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[1:27, 4:24] = value
    return image_file(pixels, f"grey-{value}.png")


def publish_scratch(model: Scratch, base: Path, name: str, version: int) -> None:
    """Publish a version of a model by a rename."""
    (base / name).mkdir(exist_ok=True)
    staging = base / name / ".staging"
    export_classifier(model, staging, labels=LABELS, preprocess=preprocess)
    staging.rename(base / name / str(version))
