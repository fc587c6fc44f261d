"""Compares generated files with those on disk, and writes them for the server to read."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.basics.files import read_regular, write_atomically
from pipelines.basics.text import shown
from tfd2l.deploy.models import DeployError

__all__ = ["GeneratedFile", "read_generated", "write_files"]

# Lines of a difference, and characters of one of them, that fit on a screen.
_MAX_LINES, _MAX_CHARACTERS = 10, 100


@dataclass(frozen=True)
class GeneratedFile:
    """A file as it is to be written, and as it is on disk.

    Attributes:
        path: where it is.
        text: the generated text.
        found: the bytes on disk; None if there is no such file.
    """

    path: Path
    text: str
    found: bytes | None

    @property
    def is_current(self) -> bool:
        """The file on disk has the generated text."""
        return self.found == self.text.encode()

    @property
    def differs(self) -> bool:
        """The file on disk has another text."""
        return self.found is not None and not self.is_current

    def difference(self) -> str:
        """Return the first lines of a unified diff from the file on disk to the generated text."""
        before = (self.found or b"").decode(errors="replace").split("\n")
        after = self.text.split("\n")
        # Without the two lines of a diff's header.
        lines = [*difflib.unified_diff(before, after, n=0, lineterm="")][2:]
        # A file may have any content, control characters of terminals among them.
        first = [
            (line if line.isprintable() else shown(line))[:_MAX_CHARACTERS]
            for line in lines[:_MAX_LINES]
        ]
        more = [f"... {len(lines) - _MAX_LINES} more lines"] if len(lines) > _MAX_LINES else []
        return "\n".join([f"--- {self.path}", "+++ generated", *first, *more])

    def write(self) -> str:
        """Write the text unless it is on disk already, and return what was done.

        Raises:
            OSError: it can't be written.
        """
        if self.is_current:
            return "unchanged"
        # The server runs as nobody, so everybody may read it, whatever this process's umask.
        write_atomically(self.path, self.text, mode=0o644)
        return "written" if self.found is None else "overwritten"


def write_files(
    directory: Path, texts: Mapping[str, str], *, overwrite: bool, say: Callable[[str], object]
) -> None:
    """Write all files, or none if one on disk has another text.

    Args:
        directory: of the files.
        texts: the generated texts, by the name of the file.
        overwrite: also write files that differ.
        say: called with each line for the user: differences, and what was written.

    Raises:
        DeployError: a file differs.
        OSError: one can't be read or written.
    """
    files = read_generated(directory, texts)
    if not overwrite:
        _refuse_to_overwrite(files, say)
    if all(file.is_current for file in files):
        say(f"nothing to change: the {len(files)} files in {directory} are up to date")
        return
    for file in files:
        say(f"{file.path}: {file.write()}")


def _refuse_to_overwrite(files: Sequence[GeneratedFile], say: Callable[[str], object]) -> None:
    """Say how files on disk differ from the generated ones; raise DeployError if any does."""
    different = [file for file in files if file.differs]
    if not different:
        return
    for file in different:
        say(file.difference())
    names = ", ".join(str(file.path) for file in different)
    raise DeployError(
        f"a file that differs from the generated one is not overwritten; got {names}. Nothing was "
        "written. Move your changes elsewhere, or overwrite all files with --force."
    )


def read_generated(directory: Path, texts: Mapping[str, str]) -> list[GeneratedFile]:
    """Read from `directory` the files that are to be written there.

    Args:
        directory: of the files.
        texts: the generated texts, by the name of the file.

    Raises:
        OSError: a file is there and can't be read.
    """
    return [
        GeneratedFile(directory / name, text, _read(directory / name))
        for name, text in texts.items()
    ]


def _read(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
