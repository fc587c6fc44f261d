"""Image files that Pillow decodes with a warning."""

from __future__ import annotations

import io

from PIL import Image


def with_corrupt_exif(image: Image.Image) -> bytes:
    """Encode the image as a JPEG file whose EXIF directory claims 255 tags and has one."""
    exif = Image.Exif()
    exif[0x010E] = "a description that is longer than four bytes"
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    data = bytearray(file.getvalue())
    place = data.index(b"Exif\0\0MM\0*\0\0\0\x08") + 14
    data[place : place + 2] = b"\0\xff"
    return bytes(data)
