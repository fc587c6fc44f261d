"""Damages bytes as disks, transfers and attackers do; a seed gives the same damage."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

# Numbers at which counters and sizes overflow, by their number of bytes.
_SIZES = {
    1: (0, 1, 0x7F, 0x80, 0xFF),
    2: (0, 1, 0x7FFF, 0x8000, 0xFFFF),
    4: (0, 1, 28, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF),
    8: (0, 1, 2**62, 2**63, 2**64 - 1),
}
# Texts that often break readers.
_TEXTS = (
    b"", b" ", b"\n", b"\r", b"\r\n", b"\0", b"\x1b[2J", b'"', b"'", b"\\", b",", b"=", b"#",
    b"[", b"{",
    b"nan", b"NaN", b"inf", b"-inf", b"-Infinity", b"1e999", b"-1", b"0", b"0.5",
    b"1e308", b"-1.7e308",
    b"true", b"null", b"NA", b"2147483648", b"99999999999999999999", b"1979-05-27", b"32x32",
    b"0x10",
    b"9" * 5000, b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"a." * 3000, b"x" * 200_000,
    b"a." * 100_000, b"a," * 100_000, b"a\n" * 100_000,
    "é٣１\u202e\U0001f45f".encode(), b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xb3\xbf",
    b"\\u0000", b"\\ud800",
)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Return the data with one, two or four kinds of damage.

    Args:
        data: a valid input.
        others: inputs whose pieces may be spliced in.
        chance: the random generator that chooses.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = chance.choice(_DAMAGES)(data, chance)
        if chance.random() < 0.1:
            data = splice(data, chance.choice(others), chance)
    return data


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    """Flip one to eight bits."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8) if data else 0):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def flip_early_bits(data: bytes, chance: random.Random) -> bytes:
    """Flip bits of the first 64 bytes, where formats have their headers."""
    return flip_bits(data[:64], chance) + data[64:]


def truncate(data: bytes, chance: random.Random) -> bytes:
    """Cut off the end."""
    return data[: _place(data, chance)]


def behead(data: bytes, chance: random.Random) -> bytes:
    """Cut off the start."""
    return data[_place(data, chance) :]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Insert random bytes, or a text that often breaks readers."""
    return _replace(data, _some(chance), 0, chance)


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """Overwrite bytes with random ones, or with such a text."""
    some = _some(chance)
    return _replace(data, some, len(some), chance)


def replace_word(data: bytes, chance: random.Random) -> bytes:
    """Replace the value up to the next separator by such a text."""
    start = _place(data, chance)
    ends = [at for at in (data.find(mark, start) for mark in b",\n=]}") if at >= 0]
    return data[:start] + chance.choice(_TEXTS) + data[min(ends, default=len(data)) :]


def overwrite_number(data: bytes, chance: random.Random) -> bytes:
    """Overwrite 1, 2, 4 or 8 bytes with an extreme number, in either byte order."""
    width = chance.choice([*_SIZES])
    number = chance.choice(_SIZES[width])
    order = chance.choice(("little", "big"))
    start = min(_place(data, chance), chance.choice((16, 64, len(data))))
    return data[:start] + number.to_bytes(width, order) + data[start + width :]  # type: ignore[arg-type]


def duplicate(data: bytes, chance: random.Random) -> bytes:
    """Repeat a piece twice or fifty times."""
    start = _place(data, chance)
    piece = data[start : start + chance.randint(1, 200)]
    return data[:start] + piece * chance.choice((2, 50)) + data[start + len(piece) :]


def remove(data: bytes, chance: random.Random) -> bytes:
    """Remove a piece."""
    return _replace(data, b"", chance.randint(1, 64), chance)


def scatter(data: bytes, chance: random.Random) -> bytes:
    """Return random bytes, of the data's length or of another."""
    return chance.randbytes(chance.choice((min(len(data), 4096), chance.randint(0, 300))))


def splice(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Join the start of one input and the end of another."""
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def with_right_checksums(png: bytes) -> bytes:
    """Return a PNG file with the right CRC in each chunk, so that damage reaches the decoder."""
    if not png.startswith(_PNG):
        return png
    found, at = _PNG, len(_PNG)
    while at + 12 <= len(png):
        size = min(int.from_bytes(png[at : at + 4], "big"), len(png) - at - 12)
        body = png[at + 4 : at + 8 + size]
        found += png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return found + png[at:]


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits, flip_early_bits, truncate, behead, insert, overwrite, replace_word, overwrite_number,
    duplicate, remove, scatter,
)  # fmt: skip


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randint(0, len(data))


def _some(chance: random.Random) -> bytes:
    return chance.choice((chance.randbytes(chance.randint(1, 16)), chance.choice(_TEXTS)))


def _replace(data: bytes, by: bytes, length: int, chance: random.Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + by + data[start + length :]
