"""Publishers as processes: at the same time, and killed; and power cuts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.exports import copying, export_with_checks, names
from tests.support.warm import WarmProcess
from tfd2l.export.publish import publish_version, published_versions
from tfd2l.export.verify import Check
from tfd2l.export.warmup import WARMUP_FILE


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    return export_with_checks(tmp_path_factory.mktemp("exported"))


def publish_copy(exported: tuple[Path, list[Check]], base: Path) -> Path:
    return publish_version(copying(exported[0]), base, checks=exported[1], card={})


# Publishes `count` times at once, each in a process of its own; the imports, which take most of
# the time, are shared.
PROGRAM = """
import os, shutil, sys, time
from pathlib import Path
import numpy as np
from tests.support.small_models import Linear
from tfd2l.export.expected import regressor_checks
from tfd2l.export.publish import publish_version
source, base, mark = (Path(argument) for argument in sys.argv[1:4])
count, hold_s = int(sys.argv[4]), float(sys.argv[5])

def write(directory):
    shutil.copytree(source, directory, dirs_exist_ok=True)
    mark.touch()
    time.sleep(hold_s)

children = []
for _ in range(count - 1):
    children.append(os.fork())
    if not children[-1]:
        children = []
        break
checks = regressor_checks(Linear(), np.ones((8, 2), np.float32))
os.write(1, publish_version(write, base, checks=checks, card={}).name.encode() + b"\\n")
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""


def start(source: Path, base: Path, mark: Path, count: int = 1, hold_s: float = 0) -> WarmProcess:
    """Start processes that publish a copy of `source`, and touch `mark` when that is half done."""
    arguments = [str(source), str(base), str(mark), str(count), str(hold_s)]
    return WarmProcess(
        ["-c", PROGRAM, *arguments],
        cwd=ROOT,
        environment=os.environ,
        outputs=(f"{mark}.out", f"{mark}.err"),
    )


def wait_for(path: Path, process: WarmProcess) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
def test_publishers_at_once_get_a_version_each(
    tmp_path: Path, exported: tuple[Path, list[Check]]
) -> None:
    base = tmp_path / "base"
    # Held, so that all are at it before the first has its number.
    process = start(exported[0], base, tmp_path / "mark", count=4, hold_s=1)
    status = process.wait()
    out, err = (Path(f"{tmp_path / 'mark'}.{stream}").read_text() for stream in ("out", "err"))
    assert status == 0, err
    numbers = [1, 2, 3, 4]
    assert sorted(int(line) for line in out.split()) == numbers
    assert names(base) == [str(number) for number in numbers]
    for number in numbers:
        assert (base / str(number) / WARMUP_FILE).is_file()


@pytest.mark.slow
def test_a_killed_publisher_leaves_nothing_that_a_server_sees(
    tmp_path: Path, exported: tuple[Path, list[Check]]
) -> None:
    base = tmp_path / "base"
    process = start(exported[0], base, tmp_path / "mark", hold_s=600)
    wait_for(tmp_path / "mark", process)
    [staging] = names(base)
    assert staging.startswith(".staging-")
    process.kill()
    process.wait()
    assert published_versions(base) == []
    assert publish_copy(exported, base) == base / "1"
    # The next publisher removes it, as nobody has its lock.
    assert names(base) == ["1"]


@pytest.mark.slow
def test_a_version_is_synced_to_disk_before_its_rename_and_the_rename_before_the_end(
    tmp_path: Path, exported: tuple[Path, list[Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []
    fsync, rename = os.fsync, os.rename

    def record_fsync(handle: int) -> None:
        events.append(os.fstat(handle).st_ino)
        fsync(handle)

    def record_rename(source: Path, target: Path) -> None:
        events.append(str(target))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    version = publish_copy(exported, tmp_path)
    renamed = events.index(str(version))
    parts = {path.stat().st_ino for path in (version, *version.rglob("*"))}
    assert len(parts) > 8
    assert parts <= {*events[:renamed]}
    assert tmp_path.stat().st_ino in events[renamed:]
