"""Flags and settings files: the configuration that they make, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support import run_python
from tfd2l.train.config import ConfigError, TrainConfig, parse


def test_the_defaults_are_the_books() -> None:
    config = parse([])
    assert (config.model, config.epochs, config.batch_size, config.lr) == ("mlp", 10, 256, 0.1)
    assert (config.num_hiddens, config.resize) == (256, (28, 28))


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


def test_the_configuration_is_frozen_and_survives_json() -> None:
    config = parse(["--resize", "32x48", "--run-dir", "somewhere"])
    with pytest.raises(ValidationError, match="frozen"):
        config.epochs = 3
    assert TrainConfig(**json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epochs", "0"], "--epochs: .*greater than or equal to 1.*got '0'"),
        (["--epochs", "ten"], "--epochs: .*valid integer.*got 'ten'"),
        (["--lr", "nan"], "--lr: .*finite.*got 'nan'"),
        (["--lr", "-1"], "--lr: .*greater than 0.*got '-1'"),
        (["--seed", "-1"], "--seed: .*got '-1'"),
        (["--resize", "0x9"], "--resize: height x width.*e.g. 32x32.*got .*'0x9'"),
        (["--resize", "1,2,3"], "--resize: height x width"),
        (["--resize", "5000"], "--resize: .*4096"),
        (["--model", "cnn"], "--model: .*'mlp'.*got 'cnn'"),
        (["--device", "tpu"], "--device: .*got 'tpu'"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3.*--help"),
        (["--epochs"], "expected one argument"),
        (["stray"], "unrecognized arguments: stray"),
        (["--run-eagerly", "--jit-compile"], "exclude each other; drop one"),
        (["--deterministic", "--jit-compile"], "depends on the number of threads; drop"),
        (["--model", "softmax", "--num-hiddens", "3"], "num_hiddens is for 'mlp'.*'softmax'"),
        (["--model", "linear", "--resize", "32"], "resize is for image models"),
        (
            ["--model", "mlp-scratch", "--precision", "mixed_bfloat16"],
            "policy of Keras layers.*use model 'mlp'",
        ),
        (["--run-dir", ""], "--run-dir: a path is wanted; the current directory is '.'"),
        (["--export-dir="], "--export-dir: a path is wanted"),
        (["--keep-versions", "0"], "--keep-versions: .*greater than or equal to 1.*got '0'"),
        (["--resume", "a", "--seed", "3"], "resume takes all settings but epochs, .*; drop seed"),
        (["--config", "/no/such/file"], "'/no/such/file' can't be read: .*No such file"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(flags: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        parse(flags)
    assert "\n" not in str(error.value)


def test_errors_are_short_and_printable_for_any_input() -> None:
    with pytest.raises(ConfigError) as error:
        parse(["--epochs", "x" * 100_000, "--lr", "y\n" * 100_000])
    assert len(str(error.value)) < 700
    with pytest.raises(ConfigError, match=r"unrecognized arguments: a b\\x1b") as error:
        parse(["a\nb\x1b"])
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epocs = 3", "--epocs: no such setting .got 3"),
        ("epochs = true", "--epochs: a number is wanted, not true or false"),
        ("epochs = [", "can't be read"),
        ('config = "other.toml"', "can't name another"),
        ("\xff\xfe", "can't be read"),
        ("epochs = 3\rlr = 1", "can't be read"),
        ("epochs = " + "9" * 5000, "can't be read: .*digits"),
        ("epochs = " + "[" * 5000, "can't be read: it is nested too deeply"),
        (".".join("a" * 5000) + " = 1", r"--a: no such setting .got .*\.\.\."),
        ("# comment\n" * 100_001, "can't be read: it has more than 1,000,000 bytes"),
        ("resize = [inf, 28]", "--resize: height x width in whole, positive pixels"),
        ("resize = [28.7, 28]", "--resize: height x width in whole, positive pixels"),
        ('run_dir = "a\\u0000b"', "--run-dir: .*no NUL character"),
        ('"a\\nb" = 1', r"--a b: no such setting"),
        ("_cli_parse_args = ['--epochs', '7']", "--_cli_parse_args: no such setting"),
        ("Epochs = 3", "--Epochs: no such setting"),
        ("batch_size = 3\nbatch-size = 4", "sets 'batch_size' twice, with - and with _"),
    ],
    ids=lambda text: text[:30],
)
def test_wrong_settings_files_are_refused_in_a_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=message) as error:
        parse(["--config", str(path)])
    assert "\n" not in str(error.value)


@given(st.dictionaries(st.sampled_from([*TrainConfig.model_fields, "x"]), st.text() | st.floats()))
def test_any_settings_are_accepted_or_refused_by_name(settings: dict[str, object]) -> None:
    try:
        TrainConfig(**settings)  # type: ignore[arg-type]  # wrong types are the point
    except ValidationError as error:
        assert all(fault["loc"] or fault["msg"] for fault in error.errors())


def test_help_is_answered_without_importing_tensorflow() -> None:
    program = (
        "import runpy, sys\n"
        "sys.argv = ['train', '--help']\n"
        "try:\n"
        "    runpy.run_module('tfd2l.train', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'pandas'} & {*sys.modules}\n"
    )
    run = run_python("-c", program)
    assert run.returncode == 0, run.stderr
    assert "--num-hiddens" in run.stdout
