"""The base class of fuzzed readers, and those of arrays, images and a run's record.

A reader has valid samples and checks the answers. Its `attempt` returns True for a right answer and
False for a clear error, and raises AssertionError for a wrong answer or an unclear error. It does
not catch other errors.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import random
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pipelines import idx_files
from pipelines.idx import IdxError, parse_idx, to_idx
from pipelines.idx_files import DataError, IdxFile, read_directory
from tests.support.mutations import mutate, with_right_checksums
from tfd2l.predict.framing import frame
from tfd2l.predict.garment import MIDDLE
from tfd2l.predict.images import ImageError, read_image
from tfd2l.train.records import RunError, read_record, write_record

if TYPE_CHECKING:
    from pipelines.raw_inputs import Framing

# Characters: two lines of a wide terminal, and a path.
LONGEST_MESSAGE = 1000


class Reader(ABC):
    """A part of the project that reads bytes.

    Attributes:
        errors: the documented errors.
        growth_mb: the maximum growth of the process's peak memory.
    """

    errors: tuple[type[Exception], ...]
    growth_mb = 200

    def __init__(self, folder: Path) -> None:
        """Set up; files are written into `folder`."""
        self.path = folder / "file"

    @abstractmethod
    def samples(self) -> list[bytes]:
        """Return valid inputs."""

    @abstractmethod
    def read(self, data: bytes) -> None:
        """Read the data and check the answer."""

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        """Return the sample with damage."""
        return mutate(sample, samples, chance)

    def attempt(self, data: bytes) -> bool:
        """Return True for an answer and False for an error, and check either."""
        try:
            self.read(data)
        except self.errors as error:
            if not isinstance(error, AssertionError):
                require_clear(error)
                return False
            raise
        return True

    def written(self, data: bytes) -> Path:
        """Write the data to a file; return its path."""
        self.path.write_bytes(data)
        return self.path


def require_clear(error: Exception) -> None:
    """Check that the error's text is one printable line of 20 to 1000 characters."""
    text = str(error)
    assert 20 <= len(text) <= LONGEST_MESSAGE, (len(text), text[:300])
    assert "\n" not in text, text
    assert all(c.isprintable() or "\udc80" <= c <= "\udcff" for c in text), ascii(text)


class Idx(Reader):
    """`parse_idx`."""

    errors = (IdxError,)

    def samples(self) -> list[bytes]:
        pixels = np.arange(3 * 28 * 28, dtype=np.uint16).astype(np.uint8)
        arrays = [
            pixels.reshape(3, 28, 28),
            pixels[:200],
            pixels[:0],
            pixels[:0].reshape(0, 28, 28),
        ]
        return [to_idx(array) for array in arrays]

    def read(self, data: bytes) -> None:
        array = parse_idx(data, name="train-images-idx3-ubyte")
        assert data[:3] == b"\0\0\x08"
        assert data[3] == array.ndim
        header = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
        assert data[4:] == header + array.tobytes()


class IdxFiles(Reader):
    """`read_directory`, on four small files, plain or `.gz`, that replace the data set's."""

    errors = (DataError,)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        contents = Idx(folder).samples()
        self.files = tuple(
            IdxFile(file.name, len(data), hashlib.sha256(data).hexdigest())
            for file, data in zip(idx_files.FILES, contents, strict=True)
        )
        self.contents = dict(zip((file.name for file in self.files), contents, strict=True))
        self.folder = folder / "data"
        self.folder.mkdir()
        for name, data in self.contents.items():
            (self.folder / name).write_bytes(data)
        self.plain = self.folder / self.files[0].name
        self.zipped = self.plain.with_name(f"{self.plain.name}.gz")

    def samples(self) -> list[bytes]:
        data = self.contents[self.plain.name]
        return [data, gzip.compress(data)]

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        # A small file that unpacks to 64 MiB.
        bomb = gzip.compress(bytes(2**26), compresslevel=1) if chance.random() < 0.001 else b""
        return bomb or super().damaged(sample, samples, chance)

    def read(self, data: bytes) -> None:
        for path in (self.plain, self.zipped):
            path.unlink(missing_ok=True)
        # A file without the magic number of gzip sometimes gets the name of a `.gz`, too.
        name = self.zipped if data[:1] == b"\x1f" or len(data) % 7 == 0 else self.plain
        name.write_bytes(data)
        before, idx_files.FILES = idx_files.FILES, self.files  # type: ignore[assignment]
        try:
            found = read_directory(self.folder)
        finally:
            idx_files.FILES = before
        assert found == self.contents


class Images(Reader):
    """`read_image`, for all formats and modes."""

    errors = (ImageError,)
    # The documented limit.
    growth_mb = 1000

    def samples(self) -> list[bytes]:
        random_ = np.random.default_rng(0)
        colours = Image.fromarray(random_.integers(0, 256, (40, 30, 4)).astype(np.uint8), "RGBA")
        deep = Image.fromarray(random_.integers(0, 65536, (28, 28)).astype(np.uint16))
        plain = [colours.convert(mode) for mode in ("RGBA", "RGB", "L", "LA", "P", "1")]
        found = [_encoded(image, "PNG") for image in [*plain, deep]]
        found += [_encoded(colours.convert(mode), "JPEG") for mode in ("RGB", "L", "CMYK")]
        exif = Image.Exif()
        exif[0x0112] = 6
        found.append(_encoded(colours.convert("RGB"), "JPEG", progressive=True, exif=exif))
        frames = [colours.convert("P"), colours.convert("P").rotate(90)]
        found.append(_encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
        found.append(_encoded(frames[0], "GIF", transparency=3))
        found.append(_encoded(plain[1], "PNG", interlace=True, dpi=(72, 72)))
        found += [_encoded(image, "BMP") for image in plain[1:3]]
        found += [_encoded(image, "WEBP", lossless=image is plain[0]) for image in plain[:2]]
        return found

    def damaged(self, sample: bytes, samples: list[bytes], chance: random.Random) -> bytes:
        data = super().damaged(sample, samples, chance)
        return with_right_checksums(data) if chance.random() < 0.5 else data

    def read(self, data: bytes) -> None:
        size = (28, 28) if len(data) % 3 else (32, 20)
        channels = 1 + 2 * (len(data) % 2)
        framing: Framing = "none" if channels == 3 or len(data) % 4 else "garment"
        prepared = read_image(data, size, channels=channels, framing=framing)
        assert prepared.pixels.shape == (size if channels == 1 else (*size, 3))
        assert prepared.pixels.dtype == np.uint8
        assert all(note.isprintable() for note in prepared.notes)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


class Frames(Reader):
    """`frame`: four bytes are the sides and the requested size, the rest is repeated as pixels."""

    errors = ()

    def samples(self) -> list[bytes]:
        return [bytes([28, 28, 28, 28, *range(256)]), bytes([40, 1, 200, 3, 0, 0, 9, 255])]

    def read(self, data: bytes) -> None:
        height, width, *size = (max(1, side) for side in data[:4].ljust(4, b"\1"))
        pixels = np.resize(np.frombuffer(data[4:] or b"\0", np.uint8), (height, width))
        grey = Image.fromarray(pixels)
        framed = frame(grey, (size[0], size[1]), [])
        assert framed.shape == (size[0], size[1])
        assert framed.dtype == np.uint8
        # Below sides of 56 a corner is one pixel; with dark corners, such an image is unchanged.
        dark = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].max() <= MIDDLE
        if [height, width] == size and max(size) < 56 and dark:
            np.testing.assert_array_equal(framed, pixels)


class Record(Reader):
    """A run's `config.json`."""

    errors = (RunError,)
    record: ClassVar[dict[str, Any]] = {
        "settings": {"lr": 0.1, "resize": [28, 28]},
        "data": {"source": "naïve", "n": None},
    }

    def samples(self) -> list[bytes]:
        write_record(self.path.parent, self.record)
        return [(self.path.parent / "config.json").read_bytes()]

    def read(self, data: bytes) -> None:
        (self.path.parent / "config.json").write_bytes(data)
        assert read_record(self.path.parent) == self.record


READERS: tuple[type[Reader], ...] = (Idx, IdxFiles, Images, Frames, Record)
