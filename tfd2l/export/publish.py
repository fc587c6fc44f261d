"""Publishes a new version of a model where TensorFlow Serving finds it: whole, checked, at once."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.basics.numbers import whole_number
from tfd2l.export.c_api_process import CApiProcess
from tfd2l.export.card import CARD_FILE, write_card
from tfd2l.export.checksums import write_checksums
from tfd2l.export.saved_model import ExportError, Signature, read_signatures
from tfd2l.export.staging import hidden_directory, make_directories, remove_left_overs, staging
from tfd2l.export.verify import Check, verify
from tfd2l.export.versions import MAX_VERSION, versions_in
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup

__all__ = ["CARD_FILE", "check_writable", "publish", "published_versions", "warmup_requests"]

# Errors of a rename whose target is a directory with content, or a file.
_TARGET_EXISTS = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


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

    The version is written to a hidden directory, gets a warm-up file, a card and checksums, is
    compared with `checks` by the C API in a fresh process, and then appears by one rename. Several
    processes may publish at the same time: each gets a number of its own.

    Args:
        write: writes the SavedModel into the empty directory that it is given, e.g. by
            `export_classifier`.
        base: the model's directory; it is created if necessary. Its versions are named 1, 2, ...
        checks: see `classifier_checks` and `regressor_checks`; their first rows make the warm-up
            file.
        card: facts about the version for `assets.extra/card.json`, in JSON values; `created`,
            `packages` and `signatures` are added.
        keep: the number of versions to keep, the new one included; the older ones are removed
            afterwards. By default all are kept.
        timeout_s: seconds that the load check may take.

    Returns:
        The directory of the new version.

    Raises:
        ValueError: `keep` is not a whole number of at least 1.
        ExportError: the model fails the load check, the card has other than JSON values, or `base`
            can't be written.

    Example:
        >>> import tempfile
        >>> from tfd2l.export.expected import regressor_checks
        >>> from tfd2l.export.signatures import export_regressor
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> checks = regressor_checks(model, np.ones((8, 2), np.float32))
        >>> with tempfile.TemporaryDirectory() as base:
        ...     d2l.publish(lambda path: export_regressor(model, path, num_inputs=2), base,
        ...                 checks=checks, card={"model": "linear"}).name
        '1'
    """
    if keep is not None:
        whole_number("keep", keep, hint="None keeps all versions.")
    base = Path(base)
    with _explaining(base):
        make_directories(base)
        remove_left_overs(base)
        version = _publish_next(write, base, checks, card, timeout_s)
        if keep is not None:
            _remove_old(base, keep)
    return version


def check_writable(base: Path | str) -> None:
    """Raise ExportError unless versions can be written below `base`; create it if necessary."""
    base = Path(base)
    with _explaining(base):
        make_directories(base)
        with staging(base) as hidden:
            (hidden / "file").write_bytes(b"1")


def published_versions(base: Path | str) -> list[int]:
    """List the numbers of the versions in `base`, in rising order; none if it does not exist."""
    try:
        return list(versions_in(Path(base)))
    except FileNotFoundError:
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


def _publish_next(
    write: Callable[[Path], None],
    base: Path,
    checks: Sequence[Check],
    card: Mapping[str, Any],
    timeout_s: float,
) -> Path:
    """Write a version to a hidden directory, check it, and rename it to the next number."""
    # The check's files are in the staging too, so that nothing of a killed process stays.
    with staging(base) as hidden, CApiProcess(timeout_s, hidden) as process:
        directory = hidden / "version"
        directory.mkdir()
        write(directory)
        _add_extra_files(directory, base.name, checks, card)
        _make_readable(directory)
        verify(directory, checks, process=process)
        _sync_tree(directory)
        version = _rename_to_next(directory, base)
    _sync(base)
    return version


def _add_extra_files(
    directory: Path, model_name: str, checks: Sequence[Check], card: Mapping[str, Any]
) -> None:
    """Add the warm-up file, the card and the checksums to the SavedModel."""
    signatures = read_signatures(directory)
    (directory / WARMUP_FILE).parent.mkdir(exist_ok=True)
    requests = warmup_requests(checks, signatures)
    write_warmup(directory / WARMUP_FILE, model_name, requests)
    write_card(directory / CARD_FILE, card, signatures)
    write_checksums(directory)


def warmup_requests(
    checks: Sequence[Check], signatures: Mapping[str, Signature]
) -> list[WarmupRequest]:
    """Make a request for each check, of its first row."""
    return [
        WarmupRequest(
            signatures[check.signature].method,
            check.signature,
            {name: array[:1] for name, array in check.inputs.items()},
        )
        for check in checks
        # `verify` reports a check without a signature.
        if check.signature in signatures
    ]


def _make_readable(directory: Path) -> None:
    """Let the server's user read the version; refuse symbolic links."""
    for path in (directory, *directory.rglob("*")):
        if path.is_symlink():
            raise ExportError(
                f"a version has no symbolic links, as only its own directory is mounted; {path} "
                "is one. Copy the file."
            )
        # Whatever this user's umask is; temporary directories have 0700.
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _sync_tree(directory: Path) -> None:
    """Write everything to disk before the rename, which may arrive there first otherwise."""
    for path in (*directory.rglob("*"), directory):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _rename_to_next(directory: Path, base: Path) -> Path:
    """Rename the staged version to the next free number, also if others publish meanwhile.

    A rename fails if its target has content, and every version has. So if two publishers choose
    the same number, the second one gets an error and then the next number.
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
            if error.errno not in _TARGET_EXISTS:
                raise
        else:
            return target


def _remove_old(base: Path, keep: int) -> None:
    """Remove all but the last `keep` versions; files and foreign directories stay."""
    versions = [base / str(number) for number in published_versions(base)]
    for version in [path for path in versions if (path / "saved_model.pb").is_file()][:-keep]:
        # A rename hides it from the server at once; removing its files takes a while.
        hidden = hidden_directory(base)
        # Another publisher may be removing it too.
        with contextlib.suppress(OSError):
            version.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
