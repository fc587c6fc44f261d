"""A run's records: `config.json` and the like, with checksums, readable without TensorFlow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.basics.files import write_atomically
from pipelines.basics.text import one_line
from tfd2l.common.errors import Tfd2lError

RECORD_FILE = "config.json"
# What a run can't be gone on with without.
_PARTS = ("settings", "data")


class RunError(Tfd2lError, ValueError):
    """A run's directory can't be used."""


def write_record(run: Path, record: Mapping[str, Any], name: str = RECORD_FILE) -> None:
    """Write a file of a run: JSON values, and the checksum of them."""
    whole = {**record, "checksum": _checksum(record)}
    write_atomically(run / name, json.dumps(whole, indent=2) + "\n")


def read_record(run: Path, name: str = RECORD_FILE) -> dict[str, Any]:
    """What `write_record` wrote.

    Raises:
        RunError: it is not there, damaged, or was changed by hand.
    """
    path = run / name
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        checksum = record.pop("checksum")
    except OSError as error:
        raise RunError(
            f"{str(run)!r} is no run to go on with: {name} can't be read "
            f"({error.strerror}). Name the directory that the run printed; a run that was killed "
            "before it had written its settings is begun anew, with --run-dir."
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


def _checksum(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
