"""Generated files that may be edited: brought up to date as long as nobody did."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from tfd2l.deploy.models import DeployError

__all__ = ["edited_text", "settle", "with_header"]

_HEADER = "# Written by python -m tfd2l.deploy; checksum of the lines below: "
_REMARK = "# If you edit this file it is kept, and a newer one goes to {name}.new beside it.\n"


def with_header(name: str, text: str) -> str:
    """The text below two lines of comment, by which `edited_text` knows it again."""
    below = _REMARK.format(name=name) + text
    return f"{_HEADER}{_checksum(below)}\n{below}"


def edited_text(path: Path) -> str | None:
    """The text of a file that is not as `with_header` made it; None if it is, or isn't there.

    Raises:
        DeployError: the file is no text.
        OSError: it can't be read.
    """
    text = _read(path)
    if text is None:
        return None
    header, _, below = text.partition("\n")
    return None if header == f"{_HEADER}{_checksum(below)}" else text


def settle(path: Path, text: str, edited: str | None) -> str:
    """Write a file unless it was edited; then write beside it what it would be, if that is new.

    Args:
        path: the file; what is beside it has `.new` added to the name.
        text: by `with_header`.
        edited: what `edited_text` says of the file; None to write over whatever is there.

    Returns:
        What was done, in a few words.

    Raises:
        DeployError: there is a file of one of the names that is no text.
        OSError: a file can't be read or written.
    """
    proposal = path.with_name(f"{path.name}.new")
    # The line that the edited file still has from the text it once was.
    if edited is not None and text.splitlines()[0] not in edited.splitlines():
        if edited_text(proposal) is not None:
            return f"kept, as it was edited; so was {proposal.name}, which may be out of date"
        if _read(proposal) != text:
            _write(proposal, text)
        return f"kept, as it was edited; what it would be now is in {proposal.name}"
    if proposal.exists() and edited_text(proposal) is None:
        proposal.unlink()
    if edited is not None:
        return "kept, as it was edited"
    before = _read(path)
    if before == text:
        return "unchanged"
    _write(path, text)
    return "written" if before is None else "brought up to date"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> str | None:
    """A file's text with the line ends that it has, or None if there is no such file."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DeployError(
            f"{path} must be text in UTF-8, or not be there; {error}. Move it away."
        ) from error


def _write(path: Path, text: str) -> None:
    """Write a file that all may read, so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # The server runs as nobody, whatever this process's umask.
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
