"""Damage to files, as disks and transfers cause it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Damage = Callable[[Path], object]


def flipped(share: float) -> Damage:
    """Make a function that flips a bit at this share of the file's length."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(share * len(data)), len(data) - 1)] ^= 0x10
        path.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    """Make a function that cuts the file to this share of its length, by a byte at least."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: min(int(share * len(data)), len(data) - 1)])

    return damage


def directory(path: Path) -> None:
    """Replace the file by a directory."""
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    """Replace the file by one that opens but can't be read by any user, as on a broken disk."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


# Changes of the bytes of a file that is not empty.
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
    """Return a command's error, which must be one line on standard error."""
    said = capsys.readouterr().err
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    return said
