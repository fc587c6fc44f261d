"""The card of a version: a JSON file that says what the model is and what made it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.common.packages import package_versions
from tfd2l.export.saved_model import ExportError, Signature

__all__ = ["CARD_FILE", "write_card"]

# Below the version's directory; the server ignores other files there.
CARD_FILE = Path("assets.extra") / "card.json"


def write_card(path: Path, card: Mapping[str, Any], signatures: Mapping[str, Signature]) -> None:
    """Write a card, with the time, the packages' versions and the signatures added.

    Args:
        path: the file; its directory exists.
        card: JSON values, also as NumPy's types and paths; it has none of the keys `created`,
            `packages` and `signatures`.
        signatures: of the version, by name.

    Raises:
        ExportError: the card has one of the three keys, or other than JSON values.
    """
    added = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": package_versions(),
        "signatures": {name: signature.as_json() for name, signature in signatures.items()},
    }
    if reserved := sorted(added.keys() & card.keys()):
        raise ExportError(f"publish adds {reserved} to the card; leave it out of what you pass.")
    try:
        text = json.dumps({**card, **added}, indent=2, allow_nan=False, default=_json_value)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"a card has JSON values, without nan and infinity; {error}. Got {dict(card)!r}."
        ) from error
    path.write_text(text + "\n", encoding="utf-8")


def _json_value(value: Any) -> Any:
    """Convert NumPy's types and paths to JSON values."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")
