"""Publishes a new version of a model where TensorFlow Serving finds it: whole, checked, at once."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.basics.files import sync
from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from tfd2l.common.packages import package_versions
from tfd2l.export.c_api.process import c_api_process
from tfd2l.export.checksums import unlisted_files, write_checksums
from tfd2l.export.errors import ExportError
from tfd2l.export.saved_model import Signature, read_signatures
from tfd2l.export.staging import remove_left_overs, staging
from tfd2l.export.verify import Check, verify
from tfd2l.export.versions import versions_in
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup

__all__ = ["CARD_FILE", "check_writable", "publish_version", "published_versions", "tidy"]

# A JSON file about the model and what made it; the server ignores other files there.
CARD_FILE = Path("assets.extra") / "card.json"

# Errors of a rename whose target is a directory with content, or a file.
_TARGET_EXISTS = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def publish_version(
    write: Callable[[Path], None],
    base: Path | str,
    *,
    checks: Sequence[Check],
    card: Mapping[str, Any],
    keep: int | None = None,
    timeout_s: float = 120.0,
) -> Path:
    """Publish a SavedModel as the next version below `base`, or leave everything as it was.

    The version is written to a hidden directory, is compared with `checks` by the C API in a fresh
    process, gets a warm-up file, a card and checksums, and then appears by one rename. Several
    processes may publish at the same time: each gets a number of its own.

    Args:
        write: writes the SavedModel into the empty directory that it is given, e.g. by
            `export_classifier`.
        base: the model's directory; it is created if necessary. Its versions are named 1, 2, ...
        checks: see `classifier_checks` and `regressor_checks`; their first rows make the warm-up
            file.
        card: facts about the version for `assets.extra/card.json`: JSON values, also as NumPy's
            types and paths. `created`, `packages` and `signatures` are added.
        keep: the number of versions to keep, the new one included; the older ones are removed
            afterwards. By default all are kept.
        timeout_s: seconds that the load check may take.

    Returns:
        The directory of the new version.

    Raises:
        ValueError: `keep` is not a whole number of at least 1, or `timeout_s` not above 0.
        ExportError: `write` is no function, the model fails the load check, the card has other than
            JSON values, or `base` can't be written.

    Example:
        >>> import tempfile
        >>> from tfd2l.export.expected import regressor_checks
        >>> from tfd2l.export.publish import publish_version
        >>> from tfd2l.export.signatures import export_regressor
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> checks = regressor_checks(model, np.ones((8, 2), np.float32))
        >>> with tempfile.TemporaryDirectory() as base:
        ...     publish_version(lambda path: export_regressor(model, path, num_inputs=2), base,
        ...                     checks=checks, card={"model": "linear"}).name
        '1'
    """
    if keep is not None:
        whole_number("keep", keep, hint="None keeps all versions.")
    _check_arguments(write, card)
    base = Path(base)
    with _explaining(base):
        _create(base)
        remove_left_overs(base)
        version = _publish_next(write, base, checks, card, timeout_s)
        if keep is not None:
            _remove_old(base, keep)
    return version


def tidy(base: Path | str, keep: int | None = None) -> None:
    """Remove the hidden directories of killed publishers, and all but the last `keep` versions.

    Raises:
        ExportError: `base` can't be read or written.
    """
    base = Path(base)
    with _explaining(base):
        remove_left_overs(base)
        if keep is not None:
            _remove_old(base, keep)


def _check_arguments(write: Any, card: Any) -> None:
    """Raise ExportError for a model in place of the function that writes it, or no card."""
    if not callable(write) or hasattr(write, "variables"):
        raise ExportError(
            "write must be a function that writes the model into a directory; got "
            f"{shown(write)}. Pass e.g. lambda path: export_classifier(model, path, ...)."
        )
    if not isinstance(card, Mapping):
        raise ExportError(f"card must be a dict of JSON values; got {shown(card)}.")


def check_writable(base: Path | str) -> None:
    """Raise ExportError unless `base` can be created, and versions written below it."""
    with _explaining(Path(base)):
        base = Path(base).absolute()
        present = next(path for path in (base, *base.parents) if path.exists())
        with staging(present) as hidden:
            created = hidden / base.relative_to(present)
            created.mkdir(parents=True, exist_ok=True)
            (created / "file").write_bytes(b"1")


def published_versions(base: Path | str) -> list[int]:
    """List the numbers of the versions in `base`, in rising order; none if it is no directory."""
    try:
        return list(versions_in(Path(base)))
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextlib.contextmanager
def _explaining(base: Path) -> Iterator[None]:
    """Turn an OSError into an ExportError that says what to do."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"a version must be written below {base}; {error}. Choose a directory on a disk with "
            "room that you may write to."
        ) from error


def _create(base: Path) -> None:
    """Create the directory, and those above it, so that the server can read them."""
    missing = [path for path in (base, *base.parents) if not path.exists()]
    base.mkdir(parents=True, exist_ok=True)
    for path in missing:
        path.chmod(0o755)


def _publish_next(
    write: Callable[[Path], None],
    base: Path,
    checks: Sequence[Check],
    card: Mapping[str, Any],
    timeout_s: float,
) -> Path:
    """Write a version to a hidden directory, check it, and rename it to the next number."""
    with staging(base) as hidden, c_api_process(timeout_s) as ask:
        directory = hidden / "version"
        directory.mkdir()
        write(directory)
        verify(directory, checks, ask=ask)
        _add_extra_files(directory, base.name, checks, card)
        # Everything is on disk before the rename, which may arrive there first otherwise.
        for path in (*directory.rglob("*"), directory):
            # The server may run as another user, and the umask may be strict.
            path.chmod(0o755 if path.is_dir() else 0o644)
            sync(path)
        version = _rename_to_next(directory, base)
    sync(base)
    return version


def _add_extra_files(
    directory: Path, model_name: str, checks: Sequence[Check], card: Mapping[str, Any]
) -> None:
    """Add the warm-up file, the card and the checksums to the SavedModel."""
    signatures = read_signatures(directory)
    requests = [
        WarmupRequest(
            signatures[check.signature].method,
            check.signature,
            {name: array[:1] for name, array in check.inputs.items()},
        )
        for check in checks
    ]
    (directory / WARMUP_FILE).parent.mkdir(exist_ok=True)
    write_warmup(directory / WARMUP_FILE, model_name, requests)
    (directory / CARD_FILE).write_text(_card_text(card, signatures), encoding="utf-8")
    write_checksums(directory)


def _card_text(card: Mapping[str, Any], signatures: Mapping[str, Signature]) -> str:
    """Return the card as JSON, with the time, the packages' versions and the signatures."""
    added = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": package_versions(),
        "signatures": {name: signature.as_json() for name, signature in signatures.items()},
    }
    try:
        text = json.dumps({**card, **added}, indent=2, allow_nan=False, default=_json_value)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"a card has JSON values, without nan and infinity; {error}. Got {dict(card)!r}."
        ) from error
    return text + "\n"


def _json_value(value: Any) -> Any:
    """Convert NumPy's types and paths to JSON values; TypeError for others."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else os.fspath(value)


def _rename_to_next(directory: Path, base: Path) -> Path:
    """Rename the staged version to the next free number, also if others publish meanwhile.

    A rename fails if its target has content, and every version has. So if two publishers choose
    the same number, the second one gets an error and then the next number.
    """
    while True:
        target = base / str(max(published_versions(base), default=0) + 1)
        try:
            return directory.rename(target)
        except OSError as error:
            if error.errno not in _TARGET_EXISTS:
                raise


def _remove_old(base: Path, keep: int) -> None:
    """Remove all but the last `keep` versions; files and foreign directories stay."""
    versions = [base / str(number) for number in published_versions(base)]
    for version in [path for path in versions if (path / "saved_model.pb").is_file()][:-keep]:
        foreign: list[str] = []
        # Another publisher may be removing it too.
        with contextlib.suppress(OSError):
            foreign = unlisted_files(version)
        if foreign:
            warnings.warn(
                f"{version} stays, though only {keep} versions are kept: its publisher did not "
                f"write {shown(foreign)}. Remove it if you don't need them.",
                stacklevel=3,
            )
            continue
        # A rename hides it from the server at once; removing its files takes a while.
        with staging(base) as hidden, contextlib.suppress(OSError):
            version.rename(hidden / "version")
