"""The records of a run, such as `config.json`: JSON with a checksum, read without TensorFlow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.basics.files import read_regular, write_atomically
from pipelines.basics.text import one_line
from tfd2l.common.commands import shell_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.packages import project_version

RECORD_FILE = "config.json"
# A run can't be resumed without these.
_PARTS = ("settings", "data")


class RunError(Tfd2lError, ValueError):
    """A run's directory or record can't be used."""


def write_record(run: Path, record: Mapping[str, Any], name: str = RECORD_FILE) -> None:
    """Write JSON values and their checksum to a file of a run."""
    whole = {**record, "checksum": _checksum(record)}
    write_atomically(run / name, json.dumps(whole, indent=2) + "\n")


def read_record(run: Path, name: str = RECORD_FILE) -> dict[str, Any]:
    """Read what `write_record` wrote.

    Raises:
        RunError: the record is missing, damaged, or was edited.
    """
    if not run.is_dir():
        raise RunError(
            f"there is no directory {str(run)!r}, and so no run in it. Name the directory that the "
            "run printed."
        )
    path = run / name
    try:
        record = json.loads(read_regular(path).decode())
        checksum = record.pop("checksum")
    except OSError as error:
        raise RunError(
            f"{str(run)!r} is not a run that can be resumed: {name} can't be read "
            f"({error.strerror}). Name the directory that the run printed; a run that was killed "
            "before it had written its settings must be started again, with --run-dir."
        ) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise RunError(
            f"{str(path)!r} is damaged ({one_line(str(error))}). Put a copy of it back, or begin a "
            "new run."
        ) from error
    if checksum != _checksum(record):
        raise RunError(
            f"{str(path)!r} is not as the run wrote it: its checksum differs. Undo the change, or "
            "begin a new run with other settings."
        )
    if name == RECORD_FILE and not all(isinstance(record.get(key), dict) for key in _PARTS):
        raise RunError(
            f"{str(path)!r} must have {' and '.join(_PARTS)}, as a run writes them. Put a copy of "
            "it back, or begin a new run."
        )
    found: dict[str, Any] = record
    return found


def origin(flags: Sequence[str], model_file: Mapping[str, str] | None) -> dict[str, Any]:
    """Facts about a new run that no setting has: command line, project's version, model file."""
    facts: dict[str, Any] = {
        "command": shell_line("tfd2l.train", *flags),
        "project": project_version(),
    }
    return facts if model_file is None else {**facts, "model_file": dict(model_file)}


def _checksum(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
