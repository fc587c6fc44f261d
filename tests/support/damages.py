"""What happens to files on disks and on their way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Damage = Callable[[Path], object]


def flipped(share: float) -> Damage:
    """A bit at this share of the file's length is another."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(share * len(data)), len(data) - 1)] ^= 0x10
        path.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    """Only this share of the file is left, and at most all but a byte."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: min(int(share * len(data)), len(data) - 1)])

    return damage


def directory(path: Path) -> None:
    """A directory is in the file's place."""
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    """A file that opens and then fails to read, for every user, as on a broken disk."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


# Of a file that has bytes.
CHANGED = {
    "a bit at the start": flipped(0),
    "a bit in the middle": flipped(0.5),
    "a bit at the end": flipped(1),
    "only the start": cut(0.01),
    "half of it": cut(0.5),
    "all but a byte": cut(1),
    "empty": cut(0),
}
DAMAGES: dict[str, Damage] = {**CHANGED, "a directory": directory, "unreadable": unreadable}


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command said on standard error: one line, no traceback."""
    said = capsys.readouterr().err
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    return said
