"""Put a new version of a model where TensorFlow Serving finds it: whole, checked and at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.export.checksums import write_checksums
from tfd2l.export.saved_model import ExportError, Signature, read_signatures
from tfd2l.export.verify import Check, LoadCheck, verify
from tfd2l.export.versions import MAX_VERSION, versions_in
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup

__all__ = ["CARD_FILE", "probe", "publish", "published_versions"]

# Below the version's directory, where the server leaves files of others alone.
CARD_FILE = Path("assets.extra") / "card.json"

# Names that are no integers, which the server passes over.
_STAGING, _REMOVED = ".staging-", ".removed-"
# What rename says of a target that is a directory with content, or a file.
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def publish(
    write: Callable[[Path], None],
    base: Path | str,
    *,
    checks: Sequence[Check],
    card: Mapping[str, Any],
    keep: int | None = None,
    timeout_s: float = 120.0,
) -> Path:
    """Publish a SavedModel as the next version below `base`, or leave everything as it was.

    The version is written aside, gets a warm-up file and a card, is held against `checks` by the C
    API in a fresh process, and then appears by one rename. Several processes may publish at the
    same time: each gets a number of its own.

    Args:
        write: writes the SavedModel into the empty directory it is given, e.g. by
            `export_classifier`.
        base: the model's directory, made if need be. Its versions are named 1, 2, ...
        checks: see `classifier_checks` and `regressor_checks`; their first rows make the warm-up
            file.
        card: what to say of the version in `assets.extra/card.json`, in JSON values; `created`,
            `packages` and `signatures` are added.
        keep: remove all but the last so many versions afterwards; by default none.
        timeout_s: seconds that the load check may take.

    Returns:
        The directory of the new version.

    Raises:
        ValueError: `keep` is less than 1.
        ExportError: the model fails the load check, the card is no JSON, or `base` can't be
            written.
    """
    if keep is not None and keep < 1:
        raise ValueError(
            f"keep must be at least 1, so that the new version stays; got {keep}. None keeps all."
        )
    base = Path(base)
    try:
        _make(base)
        _remove_left_overs(base)
        # The check's files are in the staging too, so that nothing of a killed process stays.
        with _staging(base) as staging, LoadCheck(timeout_s, staging) as process:
            directory = staging / "version"
            directory.mkdir()
            write(directory)
            _complete(directory, base.name, checks, card)
            verify(directory, checks, process=process)
            _sync(directory)
            version = _rename_to_next(directory, base)
        _sync_one(base)
        if keep is not None:
            _remove_old(base, keep)
    except OSError as error:
        raise _refused(base, error) from error
    return version


def probe(base: Path | str) -> None:
    """Raise ExportError unless a version can be written below `base`, which is made if need be."""
    base = Path(base)
    try:
        _make(base)
        with _staging(base) as directory:
            (directory / "probe").write_bytes(b"1")
    except OSError as error:
        raise _refused(base, error) from error


def _refused(base: Path, error: OSError) -> ExportError:
    return ExportError(
        f"a version must be written below {base}; {error}. Choose a directory on a disk with "
        "room that you may write to."
    )


def published_versions(base: Path | str) -> list[int]:
    """The numbers of the versions in `base`, in rising order; none where it does not exist."""
    try:
        return list(versions_in(Path(base)))
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def _staging(base: Path) -> Iterator[Path]:
    """A new directory, in which a version comes to be; it is gone afterwards."""
    directory, handle = _locked_directory(base)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


def _locked_directory(base: Path) -> tuple[Path, int]:
    """A new directory and the handle that keeps it locked as long as this process lives."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_STAGING, dir=base))
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # see below
            continue
        # Some network file systems have no locks; then nobody takes left-overs for such, either.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Between creation and lock another publisher may have taken it for a left-over.
        if directory.exists():
            return directory, handle
        os.close(handle)


def _remove_left_overs(base: Path) -> None:
    """Remove what killed processes left; the system has freed their locks."""
    for entry in base.iterdir():
        if not entry.name.startswith((_STAGING, _REMOVED)):
            continue
        # Its own process, or one that also tidies up, may be at it.
        with contextlib.suppress(OSError):
            handle = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(handle)


def _complete(
    directory: Path, model_name: str, checks: Sequence[Check], card: Mapping[str, Any]
) -> None:
    """Add warm-up file, card, checksums and permissions to the SavedModel."""
    signatures = read_signatures(directory)
    (directory / CARD_FILE).parent.mkdir(exist_ok=True)
    requests = [
        WarmupRequest(
            signatures[check.signature].method,
            check.signature,
            {name: array[:1] for name, array in check.inputs.items()},
        )
        for check in checks
        # verify says it if there is none.
        if check.signature in signatures
    ]
    write_warmup(directory / WARMUP_FILE, model_name, requests)
    (directory / CARD_FILE).write_text(_card(card, signatures) + "\n", encoding="utf-8")
    write_checksums(directory)
    for path in (directory, *directory.rglob("*")):
        if path.is_symlink():
            raise ExportError(
                f"a version has no symbolic links, as only its own directory is mounted; {path} "
                "is one. Copy the file."
            )
        # For the server's user, whatever this one's umask and temporary directories' 0700.
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _card(card: Mapping[str, Any], signatures: Mapping[str, Signature]) -> str:
    """The card as JSON text."""
    added = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "packages": _packages(),
        "signatures": {name: signature.as_json() for name, signature in signatures.items()},
    }
    if taken := sorted(added.keys() & card.keys()):
        raise ExportError(f"the card gets {taken} from publish; leave it out of what you pass.")
    try:
        return json.dumps({**card, **added}, indent=2, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"a card holds JSON values, without nan and infinity; {error}. Got {dict(card)!r}."
        ) from error


def _plain(value: Any) -> Any:
    """A JSON value for NumPy's and for paths."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _packages() -> dict[str, str]:
    """Versions of what made the model."""
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tensorflow": str(tf.__version__),
        "keras": str(keras.__version__),
    }
    # Unknown when the project runs from a checkout that was not installed.
    with contextlib.suppress(metadata.PackageNotFoundError):
        versions["tfd2l"] = metadata.version("tfd2l")
    return versions


def _rename_to_next(directory: Path, base: Path) -> Path:
    """Give the staged version the next number, past those that others take meanwhile.

    The rename fails if the target has content, and staged versions have: so of two publishers
    with one number in mind, the second gets an error, and the next number.
    """
    while True:
        version = max(published_versions(base), default=0) + 1
        if version > MAX_VERSION:
            raise ExportError(
                f"a version is at most {MAX_VERSION}, which {base} has. Rename that, or choose "
                "another directory."
            )
        target = base / str(version)
        try:
            directory.rename(target)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return target


def _remove_old(base: Path, keep: int) -> None:
    """Remove all but the last `keep` versions; files and foreign directories stay."""
    versions = [base / str(number) for number in published_versions(base)]
    for version in [path for path in versions if (path / "saved_model.pb").is_file()][:-keep]:
        # The rename takes it from the server's sight at once; removing takes its time.
        hidden = Path(tempfile.mkdtemp(prefix=_REMOVED, dir=base))
        # Another publisher may be removing it too.
        with contextlib.suppress(OSError):
            version.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def _make(base: Path) -> None:
    """Make the directory and its parents, open to the server's user whatever the umask."""
    if base.is_dir():
        return
    _make(base.parent)
    with contextlib.suppress(FileExistsError):
        base.mkdir()
        base.chmod(base.stat().st_mode | 0o555)
    if not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))


def _sync(directory: Path) -> None:
    """Have everything on disk before the rename, which may get there first otherwise."""
    for path in (*directory.rglob("*"), directory):
        _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
