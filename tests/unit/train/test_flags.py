"""Flags and settings files: the configuration that they make, and errors in one line."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pytest

from tests.support import run_python
from tfd2l.common.commands import UsageError
from tfd2l.train.settings.config import TrainConfig
from tfd2l.train.settings.flags import parse


def test_linear_models_have_other_defaults_and_flags_override_them() -> None:
    config = parse(["--model", "linear-scratch", "--epochs", "7"])
    assert (config.epochs, config.batch_size, config.lr) == (7, 32, 0.03)


@pytest.mark.parametrize(
    ("text", "size"),
    [("32", (32, 32)), ("32x48", (32, 48)), ("32,48", (32, 48)), ("[32, 48]", (32, 48))],
)
def test_sizes_are_read_as_people_write_them(text: str, size: tuple[int, int]) -> None:
    assert parse(["--resize", text]).resize == size


def test_a_flag_overrides_the_settings_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('model = "softmax"\nbatch-size = 64\nepochs = 3\nresize = [32, 48]\n')
    config = parse(["--config", str(path), "--epochs", "4"])
    assert (config.model, config.batch_size, config.epochs) == ("softmax", 64, 4)
    assert config.resize == (32, 48)


def test_the_changes_of_a_resumed_run_are_the_given_flags() -> None:
    assert parse(["--resume", "run"]).changes == {}
    config = parse(["--resume", "run", "--epochs", "20", "--export-dir", "elsewhere"])
    assert config.changes == {"epochs": 20, "export_dir": Path("elsewhere")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "--epochs must be a whole number from 1 to 100,000; got '0'"),
        (["--epochs", "ten"], "--epochs must be a whole number .*; got 'ten'"),
        (["--lr", "nan"], "--lr must be a number from 1.2e-38 to 1,000,000; got 'nan'"),
        (["--lr", "-1"], "--lr must be a number from 1.2e-38 .*; got '-1'"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 2,147,483,647; got '-1'"),
        (["--resize", "0x9"], "--resize must be HEIGHTxWIDTH .* such as 32x32.*got '0x9'"),
        (["--resize", "1,2,3"], "--resize must be HEIGHTxWIDTH"),
        (["--resize", "5000"], "--resize must be .*4096"),
        (
            ["--model", "cnn"],
            "--model must be one of linear-scratch, .*, or a Python file .*; got 'cnn'",
        ),
        (["--device", "tpu"], "--device must be one of auto, cpu, gpu; got 'tpu'"),
        (["--epoch", "3"], "epoch names the one to publish; add publish, or say epochs"),
        (["--epocks", "3"], "no such flag: --epocks; did you mean --epochs\\? .--help"),
        (["--epochs"], "^--epochs: expected one argument"),
        (["stray"], "unexpected argument: stray"),
        (["--run-eagerly", "--jit-compile"], "exclude each other; drop one"),
        (["--deterministic", "--jit-compile"], "depends on the number of threads; drop"),
        (["--model", "softmax", "--num-hiddens", "3"], "num_hiddens is for 'mlp'.*'softmax'"),
        (["--model", "linear", "--resize", "32"], "resize is for image models"),
        (
            ["--model", "mlp-scratch", "--precision", "mixed_bfloat16"],
            "policy of Keras layers.*use model 'mlp'",
        ),
        (["--run-dir", ""], "--run-dir must be a path; the current directory is '.'; got ''"),
        (["--export-dir="], "--export-dir must be a path"),
        (
            ["--keep-versions", "0"],
            "--keep-versions must be a whole number from 1 to 2,147,483,647; got '0'",
        ),
        (["--resume", "a", "--seed", "3"], "resume takes all settings but epochs, .*; drop seed"),
        (
            ["--config", "/no/such/file"],
            "'/no/such/file' can't be read: No such file or directory.$",
        ),
    ],
)
def test_wrong_flags_are_refused_in_one_line(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        parse(flags)
    assert "\n" not in str(error.value)


def test_errors_are_short_and_printable_for_any_input() -> None:
    with pytest.raises(UsageError) as error:
        parse(["--epochs", "x" * 100_000, "--lr", "y\n" * 100_000])
    assert len(str(error.value)) < 700
    with pytest.raises(UsageError, match=r"unexpected argument: a b\\x1b") as error:
        parse(["a\nb\x1b"])
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epocs = 3", "settings.toml: epocs: no such setting; did you mean epochs"),
        ("epochs = true", "settings.toml: epochs must be a number, not true or false; got True"),
        ("epochs = [", "can't be read"),
        ('config = "other.toml"', "can't name another"),
        ("\xff\xfee\0", "can't be read: it is UTF-16; save it as UTF-8"),
        ("# n\n# caf\xe9", "can't be read: line 2 is not UTF-8; save the file as UTF-8"),
        ("epochs = 3\rlr = 1", "can't be read"),
        ("epochs = " + "9" * 5000, "can't be read: .*digits"),
        ("epochs = " + "[" * 5000, "can't be read: it is nested too deeply"),
        (".".join("a" * 5000) + " = 1", "a: no such setting"),
        ("# comment\n" * 1_700, "can't be read: it has more than 16,384 bytes"),
        ("resize = [inf, 28]", "resize must be HEIGHTxWIDTH in whole pixels"),
        ("resize = [28.7, 28]", "resize must be HEIGHTxWIDTH in whole pixels"),
        ('run_dir = "a\\u0000b"', "run_dir must be a path without line breaks"),
        ('"a\\nb" = 1', "settings.toml: a b: no such setting"),
        ("_cli_parse_args = ['--epochs', '7']", "_cli_parse_args: no such setting"),
        ("Epochs = 3", "Epochs: no such setting; did you mean epochs"),
        ("batch_size = 3\nbatch-size = 4", "sets 'batch_size' twice, with - and with _"),
    ],
    ids=lambda text: text[:30],
)
def test_wrong_settings_files_are_refused_in_a_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message) as error:
        parse(["--config", str(path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--learning-rate", "--lr"),
        ("--learning_rate=0.1", "--lr"),
        ("--batch_size", "--batch-size"),
        ("--output-dir", "--export-dir"),
        ("--num-epochs", "--epochs"),
        ("--clip", "--gradient-clip-val"),
        ("--jit", "--jit-compile"),
        ("--no-eager", "--no-run-eagerly"),
        ("--cuda", "--device"),
    ],
)
def test_the_flag_that_is_meant_is_suggested(given: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"; did you mean {meant}\?"):
        parse([given, "1"])


def test_the_value_of_a_file_is_refused_by_key_and_file_unless_a_flag_outweighs_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("batch-size = 0\nlr = 0\n")
    with pytest.raises(UsageError) as error:
        parse(["--config", str(path), "--lr", "fast"])
    assert str(error.value) == (
        f"{path}: batch-size must be a whole number from 1 to 1,000,000; got 0. "
        "--lr must be a number from 1.2e-38 to 1,000,000; got 'fast'."
    )


@pytest.mark.parametrize(
    "data", [codecs.BOM_UTF8 + b"epochs = 3\n", b"epochs = 3\r\nlr = 1.0\r\n"], ids=["BOM", "CRLF"]
)
def test_files_of_other_editors_are_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "settings.toml").write_bytes(data)
    assert parse(["--config", str(tmp_path / "settings.toml")]).epochs == 3


def test_a_path_that_the_locale_can_not_decode_is_refused_with_the_remedy() -> None:
    # Python's form of the bytes of "é" in a locale of ASCII.
    with pytest.raises(UsageError, match=r"--run-dir must be a path in UTF-8.*LC_ALL=C\.UTF-8"):
        parse(["--run-dir", "caf\udcc3\udca9"])


def test_help_names_each_flag_its_default_and_examples_that_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    entries = re.split(r"\n\s+(?=--)", text)
    for name, field in TrainConfig.model_fields.items():
        line = next(one for one in entries if one.startswith(f"--{name.replace('_', '-')}"))
        shown = "28x28" if name == "resize" else str(field.default)
        has_default = not (field.default is None or field.default is False or field.default == {})
        assert (f"(default: {shown})" in line) == has_default, line
    assert "--resize HEIGHTxWIDTH" in text
    assert "None" not in text
    examples = re.findall("^  python -m tfd2l.train (.*)", text, flags=re.MULTILINE)
    assert len(examples) >= 2
    for example in examples:
        parse(example.split())


def test_help_is_answered_without_importing_tensorflow() -> None:
    program = (
        "import runpy, sys\n"
        "sys.argv = ['train', '--help']\n"
        "try:\n"
        "    runpy.run_module('tfd2l.train', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'numpy', 'pandas'} & {*sys.modules}\n"
    )
    run = run_python("-c", program)
    assert run.returncode == 0, run.stderr
    assert "--num-hiddens" in run.stdout
