"""Makes the model of a run: one of the book, or a class in a file of the reader's."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tfd2l as d2l
from pipelines.basics.text import one_line, shown
from pipelines.outputs import ClassOutput
from tfd2l.book.data import DataModule
from tfd2l.book.module import Module
from tfd2l.common.suggestions import did_you_mean
from tfd2l.train.data import task_of
from tfd2l.train.settings.catalog import CATALOG, Entry, file_and_class, is_file
from tfd2l.train.settings.config import ConfigError, TrainConfig

__all__ = ["choose_model", "describe_file", "make_model"]


def choose_model(config: TrainConfig, data: DataModule) -> tuple[type[Module], dict[str, Any]]:
    """Find the class that the settings name, and the arguments of its constructor.

    Raises:
        ConfigError: there is no such model, it can't learn the data's task, or its constructor
            needs other arguments.
    """
    entry = CATALOG.get(config.model)
    cls = _class_in_file(config.model) if entry is None else _class_of(entry, config, data)
    return cls, _arguments(cls, config, data, entry)


def make_model(cls: type[Module], arguments: Mapping[str, Any], config: TrainConfig) -> Module:
    """Make a model with fresh parameters.

    Raises:
        ConfigError: the constructor fails.
    """
    try:
        return cls(**arguments)
    except Exception as error:  # the reader's code may raise anything
        if isinstance(error, MemoryError):
            raise
        given = ", ".join(f"{name}={shown(value)}" for name, value in arguments.items())
        raise ConfigError(
            f"{cls.__name__}({given}) fails: {type(error).__name__}: "
            f"{one_line(str(error), 300)}{_place(error, config)}"
        ) from error


def describe_file(model: str) -> dict[str, str] | None:
    """Path and SHA-256 of a reader's model file, for the run's record; None for the book's."""
    if not is_file(model):
        return None
    path, _ = file_and_class(model)
    return {
        "path": str(path.absolute()),
        "sha256": hashlib.sha256(_read(path)).hexdigest(),
    }


def _class_of(entry: Entry, config: TrainConfig, data: DataModule) -> type[Module]:
    task = task_of(data)
    if task not in entry.classes:
        fitting = [name for name, other in CATALOG.items() if task in other.classes]
        raise ConfigError(
            f"model must fit the data, which ask for a {task}; {config.model!r} is for "
            f"{entry.task}. Use one of {', '.join(fitting)}."
        )
    found: type[Module] = getattr(d2l, entry.classes[task])
    return found


def _class_in_file(model: str) -> type[Module]:
    """Run the file, and return the class of this name, or the only one that it defines."""
    file, name = file_and_class(model)
    found = {
        key: value
        for key, value in vars(_run(file)).items()
        if isinstance(value, type)
        and issubclass(value, Module)
        and value.__module__ == _module(file)
    }
    if name:
        if name not in found:
            has = f"; it has {', '.join(found)}" if found else ""
            raise ConfigError(
                f"model must name a d2l.Module that {str(file)!r} defines; got {shown(name)}"
                f"{did_you_mean(name, found) or has + '.'}"
            )
        return found[name]
    if len(found) != 1:
        choice = f"; name one of them, as {file}:{next(iter(found))}" if found else ""
        raise ConfigError(
            f"a model file defines one class derived from d2l.Module; {str(file)!r} has "
            f"{', '.join(found) or 'none'}{choice}."
        )
    return next(iter(found.values()))


def _run(file: Path) -> Any:
    """Import a file as a module, with the files beside it importable."""
    _read(file)
    spec = importlib.util.spec_from_file_location(_module(file), file)
    assert spec is not None  # noqa: S101 - the name ends with .py
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    # Classes look up their module there, and pickles do.
    sys.modules[spec.name] = module
    folder = str(file.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = _line_in(error, file)
        place = "" if line is None else f", line {line}"
        raise ConfigError(
            f"the model file {str(file)!r} must run; it raises {type(error).__name__}: "
            f"{one_line(str(error), 300)} ({file.name}{place})."
        ) from error
    return module


def _module(file: Path) -> str:
    """A name that is that of no other module."""
    return f"{file.stem}_of_the_reader"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the model file {str(file)!r} can't be read: {error.strerror}. Check its name."
        ) from error


def _arguments(
    cls: type[Module], config: TrainConfig, data: DataModule, entry: Entry | None
) -> dict[str, Any]:
    """The arguments of a constructor: those that the user gives, then those that others imply."""
    parameters = dict(inspect.signature(cls).parameters)
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in config.set if name not in parameters]
    if unknown and not takes_any:
        has = f"; it has {', '.join(parameters) or 'none'}."
        raise ConfigError(
            f"set must name an argument of {cls.__name__}; got {shown(unknown[0])}"
            f"{did_you_mean(unknown[0], parameters) or has}"
        )
    implied = _implied(config, data, {} if entry is None else entry.defaults)
    given = {
        name: value
        for name, value in implied.items()
        if name in parameters and (entry is not None or _is_wanted(name, parameters[name], config))
    }
    arguments = given | config.set
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in kinds
        and name not in arguments
    ]
    if missing:
        raise ConfigError(
            f"{cls.__name__} needs an argument {missing[0]!r}, which nothing implies; add "
            f"--set {missing[0]}=VALUE."
        )
    return arguments


def _is_wanted(name: str, parameter: inspect.Parameter, config: TrainConfig) -> bool:
    """True for an argument of a reader's class that the command is to give.

    The data fixes the sizes. Other defaults are the reader's, unless the user gives the setting.
    """
    if name in ("num_inputs", "num_outputs", "num_classes"):
        return True
    return parameter.default is parameter.empty or name in config.model_fields_set


def _implied(config: TrainConfig, data: DataModule, defaults: Any) -> dict[str, Any]:
    output = data.output()
    num_outputs = len(output.labels) if isinstance(output, ClassOutput) else 1
    hiddens = dict.fromkeys(("num_hiddens", "num_hiddens_1", "num_hiddens_2"), config.num_hiddens)
    return {
        "num_inputs": _num_inputs(data),
        "num_outputs": num_outputs,
        "num_classes": num_outputs,
        **hiddens,
        "lr": config.lr,
        **defaults,
    }


def _num_inputs(data: DataModule) -> int:
    """The numbers of an example, as the loader has them."""
    example = data.val_dataloader() or data.train_dataloader()
    return math.prod(example.element_spec[0].shape[1:])


def _place(error: Exception, config: TrainConfig) -> str:
    if not is_file(config.model):
        return "."
    file, _ = file_and_class(config.model)
    line = _line_in(error, file)
    return "." if line is None else f" ({file.name}, line {line})."


def _line_in(error: BaseException, file: Path) -> int | None:
    """The last line of a file that the error came through; for a SyntaxError the wrong one."""
    path = str(file.absolute())
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
