"""pipelines/image_folders/: decoding, against numbers worked by hand and against Pillow."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines.image_folders.decoder import ImageDecoder
from pipelines.image_folders.files import (
    DecodedImages,
    decode_files,
    empty_images,
    tensor_of,
)
from pipelines.image_folders.listing import ImageFile
from pipelines.raw_inputs import ImageInput

# Of 6 x 8 blocks of 4 x 4 pixels: what a JPEG file keeps of it is near the original.
BLOCKS = np.kron(
    np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), np.ones((4, 4, 1), np.uint8)
)
SIZE = BLOCKS.shape[:2]
EXIF_ORIENTATION = 0x0112


def encoded(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(content: bytes) -> np.ndarray:
    """The first picture, upright and in RGB."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    return np.asarray(image.convert("RGB"))


def decoded(
    tmp_path: Path, *contents: bytes, size: tuple[int, ...] = SIZE, channels: int = 3
) -> DecodedImages:
    """Decode files of these contents, whose names and labels are their numbers."""
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / str(number)
        path.write_bytes(content)
        files.append(ImageFile(path, str(number), number))
    return decode_files(files, ImageDecoder((size[0], size[1]), channels))


def test_an_image_is_stretched_made_grey_and_rounded_as_worked_by_hand() -> None:
    # Two by two pixels in one: each has the weight of a quarter.
    grey = np.array([[0, 100], [200, 57]], np.uint8)  # the mean is 89.25
    content = encoded(grey)
    assert ImageDecoder((1, 1), 1)(content).numpy().tolist() == [[89]]
    assert ImageDecoder((1, 1), 3)(content).numpy().tolist() == [[[89, 89, 89]]]
    assert ImageDecoder((1, 2), 1)(content).numpy().tolist() == [[100, 78]]  # 78.5 to even
    # 0.299 * 100 + 0.587 * 201 + 0.114 * 50 = 153.6
    colour = encoded(np.array([[[100, 201, 50]]], np.uint8))
    assert ImageDecoder((1, 1), 1)(colour).numpy().tolist() == [[154]]
    # White stays white in spite of the weights' rounding, and each grey itself.
    every = np.arange(256, dtype=np.uint8)[None]
    assert np.array_equal(ImageDecoder((1, 256), 1)(encoded(every)), every)


def test_transparent_parts_of_a_png_become_white() -> None:
    # 255 - (255 - 0) * 51 / 255 = 204
    pixels = np.array([[[0, 0, 0, 255], [0, 0, 0, 51], [9, 9, 9, 0]]], np.uint8)
    assert ImageDecoder((1, 3), 1)(encoded(pixels)).numpy().tolist() == [[0, 204, 255]]
    palette = Image.fromarray(pixels[..., :3]).quantize(4)
    content = encoded(palette, transparency=palette.getpixel((0, 0)))
    assert ImageDecoder((1, 3), 1)(content).numpy()[0, 0] == 255


def test_16_bits_become_their_upper_8() -> None:
    deep = np.array([[0x0000, 0x12FF, 0xFF00]], np.uint16)
    assert ImageDecoder((1, 3), 1)(encoded(deep)).numpy().tolist() == [[0, 0x12, 0xFF]]


@pytest.mark.parametrize("channels", [1, 3])
def test_each_format_has_the_pixels_that_pillow_decodes(tmp_path: Path, channels: int) -> None:
    image = Image.fromarray(BLOCKS)
    alpha = np.dstack([BLOCKS, np.full(SIZE, 255, np.uint8)])
    contents = {
        "RGB": encoded(BLOCKS),
        "256 colours": encoded(image.quantize(200)),
        "16 colours": encoded(image.quantize(16)),
        "2 colours": encoded(image.quantize(2)),
        "grey": encoded(image.convert("L")),
        "1 bit": encoded(image.convert("1")),
        "opaque alpha": encoded(alpha),
        "grey with alpha": encoded(Image.fromarray(alpha).convert("LA")),
        "JPEG": encoded(BLOCKS, "JPEG", quality=80),
        "progressive JPEG": encoded(BLOCKS, "JPEG", progressive=True),
        "grey JPEG": encoded(image.convert("L"), "JPEG"),
        "CMYK JPEG": encoded(image.convert("CMYK"), "JPEG", quality=95),
        "GIF": encoded(BLOCKS, "GIF"),
        "animated GIF": encoded(
            image, "GIF", save_all=True, append_images=[Image.new("RGB", image.size)]
        ),
        "BMP": encoded(BLOCKS, "BMP"),
        "BMP with a palette": encoded(image.quantize(16), "BMP"),
        "lossless WebP": encoded(BLOCKS, "WEBP", lossless=True),
        "WebP": encoded(BLOCKS, "WEBP", quality=80),
    }
    images = decoded(tmp_path, *contents.values(), channels=channels).images
    for (kind, content), found in zip(contents.items(), images, strict=True):
        expected = by_pillow(content)
        if channels == 3:
            assert np.array_equal(found, expected), kind
        else:
            grey = expected @ np.array([0.299, 0.587, 0.114])
            # Half, and 1e-4 for the sums in float32.
            np.testing.assert_allclose(found, grey, atol=0.5001, err_msg=kind)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    contents = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        contents += [
            encoded(BLOCKS, kind, exif=exif, **options)
            for kind, options in (("PNG", {}), ("JPEG", {}), ("WEBP", {"lossless": True}))
        ]
    upright = [*map(by_pillow, contents)]
    for size in (SIZE, SIZE[::-1], (7, 5)):
        images = decoded(tmp_path, *contents, size=size).images
        for found, expected in zip(images, upright, strict=True):
            # What a client sends who has turned it. The order of sums may round .5 otherwise.
            sent = ImageDecoder(size, 3)(encoded(expected)).numpy().astype(int)
            assert np.abs(found - sent).max() <= (size != expected.shape[:2])


def test_turned_by_hand(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # the camera was turned to the left: turn right
    content = encoded(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), exif=exif)
    images = decoded(tmp_path, content, size=(3, 2), channels=1).images
    assert images[0].tolist() == [[4, 1], [5, 2], [6, 3]]


def test_a_damaged_exif_header_does_not_matter(tmp_path: Path) -> None:
    headers = (b"", b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\x01\0")
    found = decoded(tmp_path, *(encoded(BLOCKS, "JPEG", exif=exif) for exif in headers))
    assert not found.broken
    assert np.array_equal(found.images[0], found.images[1])
    assert np.array_equal(found.images[0], found.images[2])


def test_a_served_file_has_the_pixels_of_the_training(tmp_path: Path) -> None:
    decoder = ImageDecoder((10, 12), 3)
    raw = ImageInput(decoder.shape, tf.identity, decode=decoder)
    contents = [encoded(BLOCKS), encoded(BLOCKS, "JPEG"), encoded(BLOCKS[:9, :11], "GIF")]
    trained = decoded(tmp_path, *contents, size=decoder.size).images
    served = tf.function(raw.decoded, input_signature=[tf.TensorSpec([None], tf.string)])
    assert np.array_equal(served(contents), trained)
    feature = {"image_bytes": tf.train.Feature(bytes_list={"value": [contents[1]]})}
    example = tf.train.Example(features={"feature": feature}).SerializeToString()
    parse = tf.function(raw.parse, input_signature=[tf.TensorSpec([None], tf.string)])
    assert np.array_equal(parse([example])["image"], trained[1:2])


@pytest.mark.parametrize("kind", ["BMP", "WEBP"])
def test_the_graph_refuses_what_is_converted_for_training(kind: str) -> None:
    # Of a BMP file TensorFlow would take the indices into the palette for greys.
    content = encoded(Image.fromarray(BLOCKS).quantize(4), kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be JPEG, PNG or GIF"):
        ImageDecoder(SIZE, 3)(content)


def test_broken_files_are_named_and_the_others_keep_order_and_labels(tmp_path: Path) -> None:
    good = [encoded(np.full((4, 4), number, np.uint8)) for number in range(70)]
    broken = {
        3: b"",
        4: b"Dear Sir",
        31: good[31][:-8],
        32: encoded(BLOCKS, "JPEG")[:-40],
        33: encoded(BLOCKS, "GIF")[:300],
        60: encoded(BLOCKS, "WEBP")[:100],
        69: encoded(BLOCKS, "BMP")[:100],
    }
    found = decoded(
        tmp_path, *(broken.get(i, content) for i, content in enumerate(good)), channels=1
    )
    assert sorted(map(int, found.broken)) == [*broken]
    kept = [number for number in range(70) if number not in broken]
    assert found.labels.tolist() == kept
    assert found.images[:, 0, 0].tolist() == kept
    assert found.broken["3"] == "not a JPEG, PNG, GIF, BMP or WebP file, but an empty file"
    assert found.broken["4"].endswith(" WebP file, but a text")
    assert found.broken["31"] == f"Invalid PNG data, size {len(broken[31])}"
    assert not any("\n" in reason or "{{" in reason for reason in found.broken.values())
    assert found.hashes["4"] == hashlib.sha256(b"Dear Sir").digest()


def test_files_that_cannot_be_opened_are_broken(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    names = ("link.jpg", "folder.jpg", "pipe.jpg")
    files = [ImageFile(tmp_path / name, name, 0) for name in names]
    found = decode_files(files, ImageDecoder((2, 2), 1))
    assert found.images.shape == (0, 2, 2)
    assert found.broken == {
        "link.jpg": "No such file or directory",
        "folder.jpg": "Is a directory",
        "pipe.jpg": "Not a regular file",
    }


@pytest.mark.parametrize("in_file", [False, True])
def test_a_tensor_shares_the_memory_of_the_images(tmp_path: Path, in_file: bool) -> None:
    images = empty_images(5, (3, 7), tmp_path if in_file else None)
    tensor = tensor_of(images[:4])
    images[2, 1, 6] = 99
    assert tensor.shape == (4, 3, 7)
    assert tensor.numpy()[2, 1, 6] == 99
    # The temporary file has no name.
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_anything_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no room for 1,152,921,504,606,846,976 bytes of images"):
        empty_images(2**30, (2**15, 2**15), tmp_path)
