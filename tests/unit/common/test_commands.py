"""common/commands.py: one form of error and one set of exit statuses for all commands."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import tfd2l
from tests.support import ROOT, run_python
from tfd2l.__main__ import COMMANDS
from tfd2l.__main__ import main as list_commands
from tfd2l.common.commands import (
    CommandParser,
    UsageError,
    run_command,
    seconds,
    shell_line,
    whole_number_from,
)
from tfd2l.common.errors import Tfd2lError
from tfd2l.data_service import command as data_service
from tfd2l.deploy import command as deploy
from tfd2l.predict import command as predict
from tfd2l.serve import command as serve
from tfd2l.train import command as train


def test_the_bodys_status_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: 7) == 7
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Tfd2lError("too small; got 0. Take 1."), 2, "error: too small; got 0. Take 1.\n"),
        (UsageError("no such flag"), 2, "error: no such flag\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "error: [Errno 2] No such file: 'x'\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_an_error_of_the_user_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        raise error

    assert run_command(body, interrupted="stopped") == status
    assert capsys.readouterr() == ("", line)


def test_a_bug_is_not_taken_for_an_error_of_the_user() -> None:
    def body() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(body)


def test_flags_are_taken_in_full_only_and_numbers_within_their_range() -> None:
    parser = CommandParser("train", "[flags]", "text", [])
    parser.add_argument("--threads", type=whole_number_from(1, 8))
    parser.add_argument("--wait", type=seconds)
    found = parser.parse_args(["--threads", "8", "--wait", "0.5"])
    assert (found.threads, found.wait) == (8, 0.5)
    for flags, message in (
        (["--thread", "1"], r"no such flag: --thread; did you mean --threads\? \(--help lists"),
        (["--thread=1"], r"no such flag: --thread; did you mean --threads\? \(--help lists"),
        (["1"], r"unexpected argument: 1 \(--help lists"),
        (["--wait"], r"^--wait: expected one argument \(--help lists"),
        (["--threads", "9"], "^--threads must be a whole number from 1 to 8; got '9'"),
        (["--threads", "1.5"], "must be a whole number from 1 to 8; got '1.5'"),
        (["--wait", "nan"], "must be seconds from 0.01 to 3600; got 'nan'"),
        (["--wait", "soon"], "must be seconds from 0.01 to 3600; got 'soon'"),
    ):
        with pytest.raises(UsageError, match=message):
            parser.parse_args(flags)


Main = Callable[[Sequence[str]], int]
MAINS: dict[str, Main] = {
    "": list_commands,
    ".train": train.main,
    ".predict": predict.main,
    ".serve": serve.main,
    ".deploy": deploy.main,
    ".deploy train": lambda argv: deploy.main(["train", *(argv or [])]),
    ".data_service": data_service.main,
}
each_command = pytest.mark.parametrize("name", MAINS)


@each_command
def test_the_help_of_all_commands_has_one_form(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stop:
        MAINS[name](["--help"])
    assert stop.value.code == 0
    text, errors = capsys.readouterr()
    assert errors == ""
    assert text.startswith(f"usage: python -m tfd2l{name} ")
    assert "None" not in text
    # Each flag that takes a value shows what kind, and no type of Python's.
    assert not re.search("Path|tuple|<|>|Annotated", text)
    examples = text.partition("\nexamples:\n")[2].splitlines()
    assert 2 <= len(examples) <= 6
    assert all(line.startswith(f"  python -m tfd2l{name} ") for line in examples)


@each_command
@pytest.mark.parametrize("width", ["1", "0", "-3", "wide"])
def test_help_is_shown_on_a_terminal_of_any_width(
    name: str, width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    with pytest.raises(SystemExit):
        MAINS[name](["--help"])
    assert "--version" in capsys.readouterr().out


@each_command
def test_all_commands_know_their_version_and_refuse_unknown_flags(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        MAINS[name](["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr() == (f"tfd2l {tfd2l.__version__}\n", "")
    assert MAINS[name](["--versoin"]) == 2
    line = "error: no such flag: --versoin; did you mean --version? (--help lists the flags)\n"
    # predict needs an image before anything else, and a job the flags of training.
    assert capsys.readouterr().err == line or name in (".predict", ".deploy train")


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_commands([]) == 0
    text = capsys.readouterr().out
    for name, about in COMMANDS.items():
        assert re.search(rf"^  {name} +{about[:40]}", text, flags=re.MULTILINE)
    assert {f".{name}" for name in COMMANDS} | {"", ".deploy train"} == {*MAINS}


def test_the_console_script_names_its_commands_as_they_were_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = EntryPoint("tfd2l", project["scripts"]["tfd2l"], "console_scripts")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/tfd2l"])
    monkeypatch.setattr(CommandParser, "launcher", CommandParser.launcher)
    assert script.load()() == 0
    assert capsys.readouterr().out.startswith("usage: tfd2l COMMAND ...\n")


def test_the_console_script_gives_help_without_tensorflow() -> None:
    program = (
        "import sys\n"
        "from tfd2l.__main__ import console_script\n"
        "sys.argv = ['/usr/bin/tfd2l', 'train', '--help']\n"
        "try: console_script()\n"
        "finally: assert 'tensorflow' not in sys.modules\n"
    )
    ran = run_python("-c", program)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("usage: tfd2l train [flags]\n")
    assert "\n  tfd2l train --" in ran.stdout


def test_a_misspelt_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_commands(["trian"]) == 2
    assert capsys.readouterr().err.startswith("error: no such command: trian; did you mean train?")


def test_a_command_is_run_with_its_own_arguments_and_status(tmp_path: Path) -> None:
    ran = run_python("-m", "tfd2l", "train", "--epochs", "0", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: --epochs must be a whole number")


def test_the_line_for_the_shell_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/directory")
    monkeypatch.chdir(tmp_path)
    line = shell_line("json.tool", tmp_path / "a b")
    assert shlex.split(line) == [sys.executable, "-m", "json.tool", f"{tmp_path}/a b"]
    monkeypatch.chdir(Path(sys.executable).parents[1])
    assert shlex.split(shell_line("json.tool"))[0] == f"bin/{Path(sys.executable).name}"


def test_the_version_is_that_of_the_package() -> None:
    # Read as the build does, without importing anything.
    text = (ROOT / "tfd2l/__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{tfd2l.__version__}"' in text
    assert re.fullmatch(r"\d+\.\d+\.\d+", tfd2l.__version__)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert run_command(lambda: print("lost") or 0) == 2
    assert capfd.readouterr().err == "error: the output is not complete: No space left on device.\n"
