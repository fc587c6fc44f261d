"""The start: quiet libraries, our own `pipelines`, and the paused garbage collector."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, run_python
from tfd2l.common.startup import check_pipelines, collector_paused, quiet_libraries


def write(text: str) -> None:
    """Write to standard error as C++ does."""
    os.write(2, text.encode())


def test_output_inside_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_libraries():
        write("chatter")
        print("chatter", file=sys.__stderr__)
        sys.__stderr__.flush()  # type: ignore[union-attr]
    write("after")
    assert capfd.readouterr() == ("", "after")


def test_output_inside_is_shown_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        write("why")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), quiet_libraries():
        fail()
    write(" and after")
    assert capfd.readouterr() == ("", "why and after")


def test_the_users_log_level_stays_and_0_shows_everything(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    with quiet_libraries():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] in ("1", "3")
    for level, shown in (("2", ""), ("0", "chatter")):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
        with quiet_libraries():
            assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level
            write("chatter")
        assert capfd.readouterr().err == shown


def test_a_gpu_has_its_warnings_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for devices, level in ((["/no/device"], "3"), (["/no/device", str(tmp_path)], "1")):
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
        monkeypatch.setattr("tfd2l.common.startup._GPU_DEVICES", devices)
        with quiet_libraries():
            assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level


def test_a_closed_standard_error_hides_nothing_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(number: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with quiet_libraries():
        done = True
    assert done


@pytest.mark.slow
def test_the_import_of_tensorflow_and_its_devices_are_quiet_after_ours() -> None:
    program = (
        "import tfd2l as d2l, keras, tensorflow as tf\n"
        "tf.config.list_physical_devices()\n"
        "d2l.MLP(num_outputs=2, num_hiddens=3, lr=0.1)(tf.ones((1, 4)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_an_error_in_the_import_of_tensorflow_is_shown(tmp_path: Path) -> None:
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nos.write(2, b'E0000 no AVX\\n')\nraise ImportError('a library is missing')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ran = run_python("-c", "import tfd2l, tensorflow", environment={"PYTHONPATH": path})
    assert "E0000 no AVX" in ran.stderr
    assert ran.stderr.endswith("ImportError: a library is missing\n")


def in_the_way(folder: Path, kind: str) -> Path:
    """Make a file, a package or a plain directory with the name of ours; return what is named."""
    if kind == "file":
        (folder / "pipelines.py").touch()
        return folder / "pipelines.py"
    (folder / "pipelines").mkdir()
    if kind == "package":
        (folder / "pipelines" / "__init__.py").touch()
        return folder / "pipelines" / "__init__.py"
    return folder / "pipelines"


@pytest.mark.parametrize("kind", ["file", "package", "directory"])
def test_another_pipelines_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = in_the_way(tmp_path, kind)
    check_pipelines()
    monkeypatch.delitem(sys.modules, "pipelines")
    # A directory without __init__.py loses to a package on any other entry of the path, and wins
    # where ours is found by an import hook, as in an editable installation.
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ImportError) as error:
        check_pipelines()
    text = str(error.value)
    assert text.startswith(
        f"tfd2l imports its own package 'pipelines'; {str(path)!r} is in the way."
    )
    for program in ("-m", "/usr/bin/tfd2l"):
        monkeypatch.setattr(sys, "argv", [program])
        with pytest.raises(SystemExit) as stop:
            check_pipelines()
        assert (stop.value.code, capsys.readouterr().err) == (2, f"error: {text}\n")


def test_a_command_beside_another_pipelines_ends_with_one_line(tmp_path: Path) -> None:
    in_the_way(tmp_path, "file")
    ran = run_python("-m", "tfd2l.train", "--help", cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith("error: tfd2l imports its own package 'pipelines'; ")


@pytest.fixture
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_the_collector_is_paused_inside_and_ignores_the_objects_made_there() -> None:
    before = gc.get_freeze_count()
    with collector_paused():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


@pytest.mark.usefixtures("collector")
def test_the_collector_stays_off_if_it_was_off_and_is_on_again_after_an_error() -> None:
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ZeroDivisionError), collector_paused():
        raise ZeroDivisionError
    assert gc.isenabled()
