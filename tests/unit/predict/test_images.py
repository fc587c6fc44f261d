"""Image files of every kind, and other bytes, read into the form that a model takes."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines import fashion_mnist
from pipelines.image_folders.decoder import ImageDecoder
from tests.support import ROOT
from tfd2l.predict.images import MAX_BYTES, ImageError, read_image, read_image_file

# A light garment of two greys that fills the height, with a dark ground; no symmetry.
SHIRT = np.zeros((28, 28), np.uint8)
SHIRT[:, 8:20] = 200
SHIRT[3:9, 4:20] = 160


def encode(image: Image.Image | np.ndarray[Any, Any], kind: str = "PNG", **options: Any) -> bytes:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def enlarged(image: np.ndarray[Any, Any], side: int = 280) -> Image.Image:
    return Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)


def chunk(name: bytes, content: bytes) -> bytes:
    """A part of a PNG file, with its checksum."""
    return (
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
    )  # fmt: skip


def huge_png(side: int) -> bytes:
    """A PNG file whose header claims a square of so many pixels a side."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_that_has_the_size_and_a_dark_ground_stays_as_it_is(mode: str) -> None:
    found = read_image(encode(Image.fromarray(SHIRT).convert(mode)))
    np.testing.assert_array_equal(found.pixels, SHIRT)
    assert found.pixels.dtype == np.uint8
    assert not found.pixels.flags.writeable
    assert found.notes == (() if mode == "L" else (f"28 x 28 {mode} made grey",))


MODES = {
    "PNG": ("1", "L", "RGB", "RGBA", "P"),
    "JPEG": ("L", "RGB", "CMYK"),
    "GIF": ("1", "L", "RGB", "RGBA", "P"),
    "BMP": ("1", "L", "RGB", "P"),
    "WEBP": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes]
)
def test_every_mode_and_format_gives_the_same_garment(kind: str, mode: str) -> None:
    garment = (SHIRT > 0).astype(np.uint8) * 255 if mode == "1" else SHIRT
    picture = enlarged(255 - garment).convert(mode)
    found = read_image(encode(picture, kind))
    # The rounding of 200 and 160 and of the ground; the others keep every grey of these.
    rounds = kind in ("JPEG", "WEBP")
    np.testing.assert_allclose(found.pixels, garment, atol=3 if rounds else 0)
    assert "resized to 28 x 28" in found.notes


def test_sixteen_bits_keep_their_upper_eight() -> None:
    deep = np.asarray(enlarged(SHIRT)).astype(np.uint16) * 257
    found = read_image(encode(deep))
    np.testing.assert_array_equal(found.pixels, SHIRT)
    assert found.notes[0] == "280 x 280 I;16 made grey"


@pytest.mark.parametrize("colour", [40, 200])
def test_behind_a_transparent_image_is_white_as_in_a_shop(colour: int) -> None:
    garment = np.zeros((280, 280, 4), np.uint8)
    # The colour of a transparent pixel doesn't count: it is light in one image, dark in the other.
    garment[..., :3] = 255 - colour
    garment[:, 80:200] = (colour, colour, colour, 255)
    found = read_image(encode(garment))
    assert "transparent ground taken as white" in found.notes
    expected = np.zeros((28, 28), np.uint8)
    expected[:, 8:20] = 255 - colour
    np.testing.assert_array_equal(found.pixels, expected)


def test_behind_a_white_garment_is_black() -> None:
    garment = np.zeros((280, 280, 2), np.uint8)
    garment[:, 80:200] = (250, 255)
    found = read_image(encode(garment))
    assert found.notes[:2] == ("280 x 280 LA made grey", "transparent ground taken as black")
    assert found.pixels[5].tolist() == [0] * 8 + [250] * 12 + [0] * 8


def test_a_transparent_image_is_refused() -> None:
    with pytest.raises(ImageError, match="all pixels of this one are transparent"):
        read_image(encode(np.zeros((30, 30, 4), np.uint8)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    # The order of the camera's pixels for each orientation, by the EXIF standard's table.
    lies: Any = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a), 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(lies[orientation](np.asarray(enlarged(SHIRT)))))
    found = read_image(encode(stored, "JPEG", exif=exif))
    np.testing.assert_allclose(found.pixels, SHIRT, atol=3)


def test_the_first_of_several_pictures_is_taken() -> None:
    pictures = [enlarged(SHIRT), enlarged(np.zeros_like(SHIRT))]
    for kind in ("GIF", "PNG"):
        found = read_image(encode(pictures[0], kind, save_all=True, append_images=pictures[1:]))
        np.testing.assert_array_equal(found.pixels, SHIRT)
    # As phones write photographs with a second exposure or a depth map.
    photo = encode(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    np.testing.assert_allclose(read_image(photo).pixels, SHIRT, atol=3)


def test_the_result_may_have_another_size() -> None:
    found = read_image(encode(enlarged(SHIRT)), size=(56, 64))
    assert found.pixels.shape == (56, 64)
    # The garment is 16 wide of 28, here 32, in the middle of 64; each of its pixels is there twice.
    np.testing.assert_array_equal(found.pixels[::2, 16:48:2], SHIRT[:, 4:20])
    assert not found.pixels[:, :16].any()
    cropped = "cropped to what may be the garment: it touches the edge of the image"
    assert found.notes == (cropped, "padded", "resized to 56 x 64")


@pytest.mark.parametrize("size", [(0, 28), (28,), (5000, 28), (28.5, 28), 28, None, (True, 28)])
def test_a_wrong_size_is_refused(size: Any) -> None:
    with pytest.raises(ImageError, match="size must be .height, width."):
        read_image(encode(SHIRT), size=size)


def refused(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_damaged_files_and_other_formats_are_refused_with_a_remedy() -> None:
    assert "; this is an empty file. Save it as PNG or JPEG." in refused(b"")
    assert "; this is a text. " in refused(b"GIF is not a format of text")
    assert "can't be decoded: " in refused(encode(enlarged(SHIRT))[:300])
    assert "can't be decoded: " in refused(encode(enlarged(SHIRT), "JPEG")[:900])
    for kind, name in (("TIFF", "a TIFF file"), ("ICO", "an icon"), ("AVIF", "an AVIF file"),
                       ("PDF", "a PDF file"), ("TGA", "a file of another kind")):  # fmt: skip
        assert f"; this is {name}. Save it as PNG or JPEG." in refused(
            encode(enlarged(SHIRT), kind)
        )


def test_a_file_that_is_too_long_is_refused_before_anything_is_decoded() -> None:
    assert "at most 25,165,824 bytes" in refused(encode(SHIRT) + bytes(MAX_BYTES))


def test_a_header_that_claims_too_many_pixels_is_refused() -> None:
    assert "at most 67,108,864 pixels; got 8193 x 8193" in refused(huge_png(8193))
    # From 89 million pixels Pillow warns, and from 179 million it refuses to open the file.
    with pytest.warns(Image.DecompressionBombWarning):
        assert "pixels; got 10000 x 10000" in refused(huge_png(10_000))
    assert "can't be decoded: Image size (400000000 pixels) exceeds" in refused(huge_png(20_000))


def test_an_image_in_a_strip_is_refused() -> None:
    assert "20 times as long as wide; got 2100 x 100" in refused(
        encode(np.zeros((100, 2100), "u1"))
    )
    assert read_image(encode(np.zeros((100, 2000), np.uint8))).pixels.shape == (28, 28)


def test_files_are_read_and_missing_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(SHIRT))
    np.testing.assert_array_equal(read_image_file(tmp_path / "a.png").pixels, SHIRT)
    for name in ("absent.png", ""):
        with pytest.raises(ImageError, match="the file can't be read: .*Check its name"):
            read_image_file(f"{tmp_path}/{name}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mode", "framing", "max_kb"),
    [
        # Two copies of four bytes a pixel, the file, and grey ones; measured 0.59 GB.
        ("PNG", "RGBA", "garment", 800_000),
        # Three copies, as the ground is one; measured 0.92 GB.
        ("PNG", "RGBA", "none", 1_000_000),
        # Several scans: the decoder keeps all coefficients, eight bytes a pixel; measured 0.79 GB.
        pytest.param("JPEG", "CMYK", "garment", 1_000_000, marks=pytest.mark.long),
        # Half as many pixels; measured 0.82 GB.
        ("WEBP", "RGBA", "none", 1_000_000),
    ],
)
def test_memory_stays_bounded_at_the_largest_size(
    kind: str, mode: str, framing: str, max_kb: int, tmp_path: Path
) -> None:
    # Deeply compressed, and turned: the most copies.
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, Any] = {"compress_level": 1}
    if kind == "JPEG":
        options = {"progressive": True, "subsampling": 0}
    if kind == "WEBP":
        options = {"lossless": True, "method": 0}
    picture = Image.new(mode, (8192, 4096 if kind == "WEBP" else 8192))
    picture.paste((200,) * len(mode), (1000, 2000, 5000, 6000))
    (tmp_path / "large").write_bytes(encode(picture, kind, exif=exif, **options))
    program = (
        "import sys; from tfd2l.predict.images import read_image_file\n"
        # getrusage would count the memory that the parent had when it started this program.
        "def peak_kb():\n"
        "    status = open('/proc/self/status').read()\n"
        "    return int(status.partition('VmHWM:')[2].split()[0])\n"
        "before = peak_kb()\n"
        "read_image_file(sys.argv[1], framing=sys.argv[2])\n"
        "print(peak_kb() - before)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "large"), framing]
    process = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(process.stdout) < max_kb


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "side", "mean", "largest"),
    [
        # Each pixel ten times: their mean is the pixel. A ground that is not quite black in one
        # image of a thousand is made so, which changes its greys by up to 1 + 255 / 128.
        ("PNG", 280, 0.01, 4),
        # JPEG at its usual quality averages out over ten pixels a side, to a rounding or two.
        ("JPEG", 280, 0.1, 4),
        # ... and less so over three and a half.
        ("JPEG", 100, 1.0, 16),
    ],
)
def test_the_data_sets_images_survive_enlarging_colour_inversion_and_encoding(
    kind: str, side: int, mean: float, largest: int, fashion: fashion_mnist.Arrays,
) -> None:  # fmt: skip
    differences = []
    for image in fashion.val_images[::50]:
        large = ImageOps.invert(enlarged(image, side).convert("RGB"))
        found = read_image(encode(large, kind))
        differences.append(np.abs(found.pixels.astype(int) - image))
    assert np.mean(differences) <= mean
    assert np.max(differences) <= largest


COLOURS = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_without_framing_an_image_of_the_size_stays_bit_for_bit(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    found = read_image(encode(COLOURS, kind, **options), (12, 16), channels=3, framing="none")
    np.testing.assert_array_equal(found.pixels, COLOURS)
    assert found.pixels.dtype == np.uint8
    assert found.notes == ()
    assert not found.pixels.flags.writeable
    assert found.shows_garment


def test_without_framing_nothing_is_cropped_or_inverted_and_the_sides_are_stretched() -> None:
    # A dark stripe on white, of which framing would make a light one that fills the image.
    page = np.full((40, 60), 255, np.uint8)
    page[:, 15:30] = 10
    found = read_image(encode(page), (8, 4), framing="none")
    # The second quarter of the columns is dark. The filter is a triangle over two quarters: 3/4 of
    # a pixel is its own quarter and 1/8 either neighbour, or 6/7 and 1/7 at the edge.
    row = [255 - 245 / 7, 10 + 245 / 4, 255 - 245 / 8, 255]
    np.testing.assert_allclose(found.pixels, [row] * 8, atol=1)
    assert found.notes == ("60 x 40 resized to 8 x 4",)


@pytest.mark.parametrize("size", [(20, 24), (61, 40), (100, 130), (61, 97)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "RGBA", "EXIF"])
def test_without_framing_it_sees_what_training_saw(kind: str, size: tuple[int, int]) -> None:
    smooth = Image.fromarray(COLOURS).resize((97, 61), Image.Resampling.BICUBIC)
    options: dict[str, Any] = {}
    if kind == "RGBA":
        smooth.putalpha(Image.linear_gradient("L").resize(smooth.size))
    if kind == "EXIF":
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 8
    data = encode(smooth, kind if kind in ("PNG", "JPEG", "GIF") else "PNG", **options)
    for channels in (1, 3):
        found = read_image(data, size, channels=channels, framing="none").pixels
        decoder = ImageDecoder(size, channels)
        expected = decoder(tf.constant(data), 8 if kind == "EXIF" else 1).numpy()
        # Pillow rounds to whole greys after each of its steps: two directions, ground and grey.
        np.testing.assert_allclose(found.astype(int), expected, atol=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_becomes_grey_or_colour(mode: str) -> None:
    picture = Image.fromarray(COLOURS).convert(mode)
    data = encode(picture, "JPEG" if mode == "CMYK" else "PNG")
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    found = read_image(data, (12, 16), channels=3, framing="none")
    np.testing.assert_array_equal(found.pixels, np.asarray(expected))
    grey = read_image(data, (12, 16), framing="none")
    np.testing.assert_array_equal(grey.pixels, np.asarray(expected.convert("L")))
    assert grey.notes == (() if mode == "L" else ("made grey",))


def test_without_framing_transparent_pixels_are_white_and_photographs_upright() -> None:
    clear = np.zeros((12, 16, 4), np.uint8)
    clear[:, :8] = (9, 8, 7, 255)
    found = read_image(encode(clear), (12, 16), channels=3, framing="none")
    np.testing.assert_array_equal(found.pixels[:, :8], np.full((12, 8, 3), (9, 8, 7)))
    assert (found.pixels[:, 8:] == 255).all()
    assert found.notes == ("transparent pixels made white",)
    exif = Image.Exif()
    # To be turned clockwise by a quarter.
    exif[0x0112] = 6
    turned = read_image(encode(COLOURS, exif=exif), (16, 12), channels=3, framing="none")
    np.testing.assert_array_equal(turned.pixels, np.rot90(COLOURS, -1))
    deep = np.asarray(SHIRT).astype(np.uint16) * 257
    np.testing.assert_array_equal(read_image(encode(deep), framing="none").pixels, SHIRT)


@pytest.mark.parametrize(
    ("channels", "framing"), [(3, "garment"), (2, "none"), (4, "none"), (1, "crop"), (None, "none")]
)
def test_channels_and_framing_go_together(channels: Any, framing: Any) -> None:
    with pytest.raises(ImageError, match=f"{channels} channels and framing '{framing}'"):
        read_image(encode(SHIRT), channels=channels, framing=framing)


def huge_webp(kind: bytes, header: bytes) -> bytes:
    """A WebP file whose header claims a size, and that ends there."""
    content = b"WEBP" + kind + struct.pack("<I", len(header)) + header
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    "data",
    [
        huge_webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 16383, 16000)),
        huge_webp(b"VP8L", b"\x2f" + struct.pack("<I", 16382 | 15999 << 14)),
        huge_webp(
            b"VP8X", bytes(4) + (16382).to_bytes(3, "little") + (15999).to_bytes(3, "little")
        ),
    ],
)
def test_a_webp_file_is_refused_by_its_header_before_the_decoder_sees_it(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Image, "open")
    assert "at most 33,554,432 pixels; got 16383 x 16000" in refused(data)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}])
def test_the_header_of_a_webp_file_has_its_size(options: dict[str, Any]) -> None:
    data = encode(np.zeros((100, 2100), np.uint8), "WEBP", **options)
    assert "20 times as long as wide; got 2100 x 100" in refused(data)
    assert "can't be decoded: " in refused(encode(COLOURS, "WEBP", **options)[:-40])
