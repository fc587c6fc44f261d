"""Makes the data module of a run: the book's data, a folder of images, or a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import tfd2l as d2l
from pipelines.basics.text import one_line, shown
from pipelines.fashion_mnist import Arrays
from pipelines.image_folders.listing import ImageFolderError
from pipelines.outputs import ClassOutput, Output
from pipelines.raw_inputs import RawInput
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError
from tfd2l.book.data import DataModule, SyntheticRegressionData
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.suggestions import did_you_mean
from tfd2l.train.settings.catalog import Task
from tfd2l.train.settings.config import ConfigError, TrainConfig

__all__ = ["LimitedData", "make_data", "task_of"]

# The true parameters of the synthetic data, as in the book's section 3.4.
TRUE_W, TRUE_B = (2.0, -3.4), 4.2
Say = Callable[[str], object]


class LimitedData(DataModule):
    """The first batches of each pass of another data module."""

    def __init__(self, data: DataModule, num_batches: int) -> None:
        """Limit training and validation of `data` to `num_batches` batches each."""
        super().__init__()
        self.data, self.num_batches, self.seed = data, num_batches, data.seed

    def get_dataloader(self, train: bool) -> Any:
        """The first batches of that loader, or None."""
        if not train:
            loader = self.data.val_dataloader()
        else:
            with self.data.fixed_sequence(self.next_sequence()):
                loader = self.data.train_dataloader()
        return None if loader is None else loader.take(self.num_batches)

    def raw_input(self) -> RawInput:
        """Those of the whole data."""
        return self.data.raw_input()

    def output(self) -> Output:
        """That of the whole data."""
        return self.data.output()

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """Those of the whole data."""
        return self.data.raw_examples(limit)

    def describe(self) -> dict[str, Any]:
        """The description of the whole data, and the limit."""
        return self.data.describe() | {"limit_batches": self.num_batches}


def make_data(config: TrainConfig, arrays: Arrays | None, say: Say) -> DataModule:
    """Make the data module of a run, and say what it has.

    Args:
        config: all settings.
        arrays: Fashion-MNIST, if the run is to train on it.
        say: called with a line for the user.

    Raises:
        ConfigError: the settings don't fit the data.
        Tfd2lError: the data can't be read.
    """
    data = _whole_data(config, arrays, say)
    limit = config.limit_batches
    return data if limit is None else LimitedData(data, limit)


def task_of(data: DataModule) -> Task:
    """The task that the data sets."""
    return "classification" if isinstance(data.output(), ClassOutput) else "regression"


def _whole_data(config: TrainConfig, arrays: Arrays | None, say: Say) -> DataModule:
    if arrays is not None:
        say(f"data: Fashion-MNIST from {arrays.source}")
        return d2l.FashionMNIST(config.batch_size, config.resize, seed=config.seed, arrays=arrays)
    if config.data is None:
        say(f"data: 1,000 + 1,000 made-up examples of y = Xw + b, w = {TRUE_W}, b = {TRUE_B}")
        return SyntheticRegressionData(
            TRUE_W, TRUE_B, batch_size=config.batch_size, seed=config.seed
        )
    if config.target is not None:
        return _table(config, say)
    if config.data.is_file():
        raise ConfigError(
            f"data must be a folder of images, or a CSV file with --target; got the file "
            f"{str(config.data)!r}. Add --target with the name of the column to predict."
        )
    return _folder(config, say)


def _folder(config: TrainConfig, say: Say) -> d2l.ImageFolder:
    arguments = {
        "batch_size": config.batch_size,
        "resize": config.resize,
        "channels": config.channels,
        "val_share": config.val_share,
        "seed": config.seed,
        "skip_broken": config.skip_broken,
    }
    data: d2l.ImageFolder = _made(d2l.ImageFolder, config, arguments)
    say(
        f"data: {data.num_train:,} + {data.num_val:,} images of {len(data.labels):,} classes from "
        f"{config.data}: {one_line(', '.join(data.labels), 300)}"
    )
    return data


def _table(config: TrainConfig, say: Say) -> d2l.Table:
    if config.data is not None and config.data.is_dir():
        raise ConfigError(
            f"target is the column of a CSV file, and {str(config.data)!r} is a folder; drop it, "
            "or name the file."
        )
    arguments = {
        "target": config.target,
        "batch_size": config.batch_size,
        "val_share": config.val_share,
        "seed": config.seed,
    }
    data: d2l.Table = _made(d2l.Table, config, arguments)
    say(
        f"data: {data.num_train:,} + {data.num_val:,} rows from {config.data}; "
        f"{data.describe()['task_rule']}"
    )
    return data


def _made(cls: Any, config: TrainConfig, arguments: dict[str, Any]) -> Any:
    """Make a data module from settings and from the further arguments that the user gives."""
    parameters = [*inspect.signature(cls).parameters.values()][1:]
    known = [one.name for one in parameters if one.kind != one.VAR_KEYWORD]
    if len(known) < len(parameters):
        known += [field.name for field in fields(Dialect)]
    for name in config.data_option:
        if name in arguments:
            raise ConfigError(
                f"data_option is for further arguments; use --{name.replace('_', '-')}."
            )
        if name not in known:
            others = [other for other in known if other not in arguments]
            raise ConfigError(
                f"data_option must name an argument of d2l.{cls.__name__}; got {shown(name)}"
                f"{did_you_mean(name, others) or '; it has ' + ', '.join(others) + '.'}"
            )
    try:
        return cls(config.data, **arguments, **config.data_option)
    except (TableError, ImageFolderError) as error:
        # The remedies are arguments of the class.
        text = str(error).replace("skip_broken=True", "--skip-broken")
        flag = " By flag: --data-option NAME=VALUE." if "pass " in text else ""
        raise ConfigError(f"{text}{flag}") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, Tfd2lError):
            raise
        raise ConfigError(f"data_option: {error}") from error
