"""Kinds of files by their first bytes, as Pillow and others write them."""

from __future__ import annotations

import io
import zipfile

import pytest
from PIL import Image

from pipelines.basics.file_kinds import kind_of


@pytest.mark.parametrize(
    ("format_", "kind"),
    [
        ("TIFF", "a TIFF file"),
        ("ICO", "an icon"),
        ("PDF", "a PDF file"),
        ("AVIF", "an AVIF file"),
        ("JPEG2000", "a JPEG 2000 file"),
        ("TGA", "a file of another kind"),
    ],
)
def test_images_of_other_formats_are_named(format_: str, kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, format_)
    assert kind_of(file.getvalue()) == kind


def test_documents_texts_and_nothing_are_named() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content.xml", "x")
    assert kind_of(file.getvalue()) == "a ZIP file, or a document"
    assert kind_of("Grüße,\n\tJö".encode()) == "a text"
    assert kind_of(b"<svg xmlns='http://www.w3.org/2000/svg'/>") == "an SVG drawing"
    assert kind_of(b"\0\0\0\x18ftypheic\0\0") == "a HEIC file"
    assert kind_of(b"\0\0\0\x18ftypisom\0\0") == "a video"
    assert kind_of(b"") == "an empty file"
