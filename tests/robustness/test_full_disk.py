"""A full disk: complete files stay, and the run can be resumed when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.support.warm import run_warm


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of this size; skip the test where mounting is not permitted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def train(cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return run_warm("-m", "tfd2l.train", *flags, cwd=cwd)


# A checkpoint of the MLP has 800 kB: there is no room for the second, or for the export.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "file"),
    [("1m", "epoch-00002"), pytest.param("2500k", ".staging-", marks=pytest.mark.long)],
)
def test_a_run_that_a_full_disk_stopped_can_be_resumed_when_there_is_room(
    size: str, file: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, size):
        failed = train(disk, "--epochs", "2", "--run-dir", "run")
        assert failed.returncode == 2
        error, remedy = failed.stderr.splitlines()
        assert "No space left on device" in error
        assert file in error
        assert remedy == "when that is mended, resume with --resume run"
        subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)
        resumed = train(disk, "--resume", "run")
        assert resumed.returncode == 0, resumed.stderr
        assert pd.read_csv(disk / "run" / "metrics.csv")["epoch"].tolist() == [1, 2]
        assert [path.name for path in (disk / "savedmodels" / "mlp").iterdir()] == ["1"]


def test_a_read_only_directory_is_refused_by_name(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "1m"):
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        # Both directories are checked before anything is written.
        exports = str(tmp_path / "exports")
        flags = ["--model", "linear", "--run-dir", "run"]
        refused = train(disk, *flags, "--export-dir", exports)
        both = train(disk, *flags)
    assert refused.returncode == both.returncode == 2
    assert "below savedmodels/linear; [Errno 30] Read-only file system" in both.stderr
    assert not Path(exports).exists()
    assert refused.stderr == (
        "error: the run's directory 'run' can't be made or read: Read-only file system; choose "
        "another with --run-dir.\n"
    )
