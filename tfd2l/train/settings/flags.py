"""Reads the settings of a run from the command line, and from the file that it may name."""

from __future__ import annotations

import argparse
import codecs
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.basics.text import one_line
from tfd2l.common.commands import CommandParser
from tfd2l.train.settings.config import ConfigError, TrainConfig, about, from_settings

__all__ = ["parse", "parse_all"]

# The largest settings file: several times the size of all settings with a comment each. tomllib's
# time grows with the square of a dotted key's length.
MAX_BYTES = 16_384
MAX_SEEDS = 100
EXAMPLES = [
    "--model mlp --num-hiddens 512 --lr 0.05 --run-dir runs/wide",
    "--resume runs/wide --epochs 20",
    "--data photos/ --model my_models.py:Net --set dropout=0.3",
    "--data houses.csv --target Price",
    "--publish runs/wide --epoch 7",
    "--workers 10.0.0.1:2222,10.0.0.2:2222 --worker-index 0 --run-dir /shared/run",
]
# Flags that may be repeated.
REPEATED = ("set", "data_option", "seed")


def parse(argv: Sequence[str]) -> TrainConfig:
    """The settings of one run, where `parse_all` finds no more."""
    return parse_all(argv)[0]


def parse_all(argv: Sequence[str]) -> list[TrainConfig]:
    """The settings from the flags and from the settings file that they may name, for each seed.

    Args:
        argv: the flags, without the program's name.

    Raises:
        UsageError: a flag is unknown or lacks its value.
        ConfigError: a settings file, a key in it or a value can't be used.
        SystemExit: after `--help` and `--version`, which are printed.
    """
    settings = vars(_parser().parse_args(argv))
    sources = {name: _flag(name) for name in settings}
    if settings.get("config"):
        path = Path(settings["config"])
        for key, value in _read(path).items():
            name = key.replace("-", "_")
            # A flag outweighs the file.
            if name not in settings:
                settings[name], sources[name] = value, f"{path}: {key}"
    seeds = settings.get("seed")
    if not isinstance(seeds, list):
        return [from_settings(settings, sources)]
    if not 1 <= len(seeds) <= MAX_SEEDS:
        raise ConfigError(
            f"{sources['seed']} may be given from 1 to {MAX_SEEDS} times; got {len(seeds)}."
        )
    if len({*map(str, seeds)}) < len(seeds):
        raise ConfigError(f"{sources['seed']} must be given once for each seed; drop the others.")
    return [from_settings({**settings, "seed": seed}, sources) for seed in seeds]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _parser() -> CommandParser:
    """Make a flag of each setting; a flag that is not given leaves nothing in the namespace."""
    parser = CommandParser("train", "[flags]", TrainConfig.__doc__ or "", EXAMPLES)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, field in TrainConfig.model_fields.items():
        group, metavar = about(name)["group"], about(name)["metavar"]
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        form: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        text = field.description
        if metavar is not None:
            form = {"metavar": metavar}
            if name in REPEATED:
                form["action"] = "append"
            if field.default not in (None, {}):
                text = f"{text} (default: {_shown(field.default)})"
        groups[group].add_argument(_flag(name), default=argparse.SUPPRESS, help=text, **form)
    return parser


def _shown(default: Any) -> str:
    return "x".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _read(path: Path) -> dict[str, Any]:
    """Read the settings in a TOML file, by keys that are spelt like flags or with underscores."""
    try:
        with path.open("rb") as file:
            # One byte more than allowed shows that the file is too large.
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        settings = tomllib.loads(_text(data))
    except OSError as error:
        problem = str(error.strerror)
    except ValueError as error:
        # Python itself refuses numbers with very many digits, by a ValueError.
        problem = str(error)
    except RecursionError:
        problem = "it is nested too deeply"
    else:
        return _distinct(path, settings)
    raise ConfigError(one_line(f"the settings file {str(path)!r} can't be read: {problem}."))


def _text(data: bytes) -> str:
    """Decode UTF-8, the encoding of TOML, also behind the byte order mark of some editors."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8; save the file as UTF-8") from error


def _distinct(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, each of which is given once and may be given in a file."""
    seen: set[str] = set()
    for key in settings:
        name = key.replace("-", "_")
        if name == "config":
            raise ConfigError(f"{str(path)!r}: a settings file can't name another; drop 'config'.")
        if name in seen:
            raise ConfigError(
                one_line(f"{str(path)!r} sets {name!r} twice, with - and with _; drop one of them.")
            )
        seen.add(name)
    return settings
