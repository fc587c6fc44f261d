"""The typed, frozen settings of a run, and errors in them in plain words.

Imports nothing slow, so that `--help` and errors in flags are answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipelines.basics.numbers import MAX_INT32
from pipelines.basics.text import one_line, shown
from tfd2l.common.commands import UsageError
from tfd2l.common.suggestions import did_you_mean
from tfd2l.train.settings.catalog import CATALOG, file_and_class, is_file, served_name
from tfd2l.train.settings.fields import choice, file, setting, switch, whole
from tfd2l.train.settings.rules import check_together, defaults_for
from tfd2l.train.settings.types import (
    Arguments,
    Devices,
    FilePath,
    ModelName,
    Name,
    Real,
    Size,
    Whole,
    Workers,
)

__all__ = ["CHANGEABLE", "PUBLICATION", "ConfigError", "TrainConfig", "about", "from_settings",
           "settings_to_keep"]  # fmt: skip

Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Optimizer = Literal["own", "sgd", "momentum", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "step"]
Export = Literal["best", "last", "none"]
# The settings that may change when a run is resumed.
CHANGEABLE = (
    "epochs", "lr", "gradient_clip_val", "export_dir", "export", "publish_anyway", "keep_versions",
)  # fmt: skip
# The settings of a process, which are no part of a run.
OF_PROCESS = ("workers", "worker_index")
# The settings that go with the publication of a run.
PUBLICATION = ("export_dir", "keep_versions", "name")
# More don't fit into the line.
MAX_FAULTS = 8


class ConfigError(UsageError, ValueError):
    """A flag, a settings file or a value in it can't be used."""


class TrainConfig(BaseModel):
    """Train a model of the book, or one of your own, keep the run and export the model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: ModelName = setting(
        "mlp",
        "model",
        f"{', '.join(CATALOG)}; or a file with a d2l.Module of yours, such as my_models.py:Net, "
        "which is run",
        f"one of {', '.join(CATALOG)}, or a Python file such as my_models.py:Net",
        "NAME|FILE.py:CLASS",
    )
    num_hiddens: Whole = whole(256, "model", "hidden units of an mlp", 1, 1_000_000)
    set: Arguments = setting(
        {},
        "model",
        "an argument of the model's constructor; may be repeated",
        "NAME=VALUE, such as dropout=0.5",
        "NAME=VALUE",
    )
    data: FilePath | None = file(
        None,
        "data",
        "a folder of images, DIR/LABEL/*.jpg or DIR/{train,val}/LABEL/*.jpg, or a CSV file "
        "with --target (default: Fashion-MNIST, or made-up data for the linear models)",
        "DIR|FILE.csv",
    )
    target: Name | None = setting(
        None, "data", "the column of the CSV file to predict", "a column's name", "COLUMN"
    )
    channels: Whole = whole(3, "data", "1 for grey, 3 for coloured images of a folder", 1, 3)
    val_share: Real = setting(
        0.2,
        "data",
        "share of your data that is kept for validation, unless there is a folder val",
        "a number above 0 and below 1",
        "SHARE",
        gt=0,
        lt=1,
    )
    skip_broken: bool = switch(False, "data", "pass over images that can't be read")
    data_option: Arguments = setting(
        {},
        "data",
        "a further argument of d2l.ImageFolder or d2l.Table, such as thousands=,; may be repeated",
        "NAME=VALUE, such as decimal=,",
        "NAME=VALUE",
    )
    data_dir: FilePath | None = file(None, "data", "has the four files of Fashion-MNIST")
    resize: Size = setting(
        (28, 28),
        "data",
        "size of the images in pixels; of a folder's: 64x64",
        "HEIGHTxWIDTH",
        "HEIGHTxWIDTH",
    )
    epochs: Whole = whole(
        10, "training", "passes over the training data; linear models: 3, own data: 20", 1, 100_000
    )
    batch_size: Whole = whole(
        256, "training", "examples in a step; linear models and own data: 32", 1, 1_000_000
    )
    lr: Real = setting(
        0.1,
        "training",
        "learning rate; linear models: 0.03, own data: 0.01, adam and adamw: 0.001",
        "a number from 1.2e-38 to 1,000,000",
        "RATE",
        # Smaller ones lose digits in float32, and become 0 in the end.
        ge=2.0**-126,
        le=1e6,
    )
    optimizer: Optimizer = choice(
        "own", "training", "own is what the model configures: the book's SGD", Optimizer
    )
    schedule: Schedule = choice(
        "constant",
        "training",
        "the learning rate falls to 0 over all epochs, or to a tenth at each third of them",
        Schedule,
    )
    weight_decay: Real = setting(
        0,
        "training",
        "share of each weight that a step takes away, in learning rates",
        "a number from 0 to 1",
        "RATE",
        ge=0,
        le=1,
    )
    gradient_clip_val: Real = setting(
        0,
        "training",
        "largest joint norm of the gradients; 0 does not clip",
        "a number from 0 to 1,000,000",
        "NORM",
        ge=0,
        le=1e6,
    )
    early_stopping: Whole | None = whole(
        None, "training", "end after so many epochs without a better validation", 1, 100_000
    )
    limit_batches: Whole | None = whole(
        None, "training", "train and validate on so many batches only", 1, MAX_INT32
    )
    dry_run: bool = switch(
        False, "training", "try everything on two batches, to the export; keep nothing"
    )
    seed: Whole = whole(
        0, "training", "the seed of all random choices; repeated: a run for each", 0, 2**31 - 1
    )
    device: Device = choice("auto", "execution", "auto takes a GPU if TensorFlow sees one", Device)
    devices: Devices = setting(
        1,
        "execution",
        "so many GPUs share every batch; with device cpu, parts of the processor do",
        "a number of devices from 1, or all",
        "N|all",
    )
    workers: Workers | None = setting(
        None,
        "execution",
        "address of each process that makes the run together; start one for each (default: those "
        "in the environment's TF_CONFIG)",
        "HOST:PORT,HOST:PORT, each once and with a port from 1 to 65535",
        "HOST:PORT,...",
        exclude=True,
    )
    worker_index: Whole | None = setting(
        None,
        "execution",
        "the number of this process in --workers; 0 keeps the run",
        "a whole number from 0",
        "N",
        ge=0,
        exclude=True,
    )
    precision: Precision = choice(
        "float32", "execution", "dtype policy of the models on Keras layers", Precision
    )
    run_eagerly: bool = switch(False, "execution", "run steps as plain Python, to debug them")
    jit_compile: bool | None = switch(
        None, "execution", "compile the steps with XLA (default: where that is known to pay)"
    )
    deterministic: bool = switch(
        False,
        "execution",
        "the same bits on any number of threads; without XLA, and convolutions on one thread, so "
        "slower",
    )
    run_dir: FilePath | None = file(
        None, "output", "the run's directory, new or empty (default: a new one in runs)"
    )
    checkpoint_every: Whole | None = whole(
        None, "output", "also write checkpoints after so many steps within an epoch", 1, MAX_INT32
    )
    export: Export = choice(
        "best",
        "output",
        "the epoch to export: the one with the best validation, or the last",
        Export,
    )
    publish_anyway: bool = switch(
        False, "output", "publish a model even if it only guesses, or the served one is better"
    )
    name: Name | None = setting(
        None,
        "output",
        "the model's name below --export-dir (default: the model's, for own data with the data's)",
        "letters, digits, '_', '.' and '-'",
        "NAME",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
    )
    export_dir: FilePath = file(Path("savedmodels"), "output", "the directory of exports")
    keep_versions: Whole | None = whole(
        None, "output", "the number of the model's versions to keep (default: all)", 1, MAX_INT32
    )
    resume: FilePath | None = file(
        None,
        "settings of a run",
        "resume the run in this directory with its own settings; --epochs, --lr, "
        "--gradient-clip-val and the flags of the export may be given anew",
        exclude=True,
    )
    publish: FilePath | None = file(
        None, "settings of a run", "publish the best epoch of the run in this directory", "RUN",
        exclude=True,
    )  # fmt: skip
    epoch: Whole | None = setting(
        None,
        "settings of a run",
        "the epoch to --publish, which must have a checkpoint",
        "a whole number of at least 1",
        "N",
        ge=1,
        le=MAX_INT32,
        exclude=True,
    )
    config: FilePath | None = file(
        None, "settings of a run", "a TOML file of settings; a flag outweighs it", "FILE",
        exclude=True,
    )  # fmt: skip

    @property
    def is_synthetic(self) -> bool:
        """True for the regressions of the book, which train on made-up data."""
        entry = CATALOG.get(self.model)
        return self.data is None and entry is not None and entry.task == "regression"

    @property
    def rate(self) -> float | None:
        """The learning rate that the command sets; None if it is left to a reader's model."""
        if "lr" in self.set:
            return float(self.set["lr"])
        return self.lr if self.sets_optimizer else None

    @property
    def sets_optimizer(self) -> bool:
        """True if the settings, and not the model, make the optimizer."""
        return self.optimizer != "own" or self.schedule != "constant" or self.weight_decay > 0

    @property
    def may_convolve(self) -> bool:
        """True for a model with convolutions, and for a reader's, which may have some."""
        return self.model == "lenet" or is_file(self.model)

    @property
    def is_table(self) -> bool:
        """True for a CSV file."""
        return self.data is not None and self.target is not None

    @property
    def served_name(self) -> str:
        """The name of the model's directory below `export_dir`."""
        if self.name is not None:
            return self.name
        if is_file(self.model):
            path, class_name = file_and_class(self.model)
            return served_name(class_name or path.stem)
        # Garments and photographs under one name would be versions of one model.
        return self.model if self.data is None else served_name(f"{self.data.stem}-{self.model}")

    @model_validator(mode="after")
    def _settings_fit_together(self) -> TrainConfig:
        fields = type(self).model_fields
        # The record of a run names all settings, the defaults included.
        given = {n for n in self.model_fields_set if getattr(self, n) != fields[n].default}
        check_together(self, given)
        for name, allowed in (("resume", CHANGEABLE), ("publish", ("epoch", *PUBLICATION))):
            others = self.model_fields_set - {name, *allowed, *OF_PROCESS}
            if getattr(self, name) is not None and others:
                raise ValueError(
                    f"{name} takes all settings but {', '.join(allowed)} from the run; drop "
                    f"{', '.join(sorted(others))}"
                )
        return self

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that a resumed run is to change."""
        return self.model_dump(include=self.model_fields_set & {*CHANGEABLE})


def about(name: str) -> dict[str, Any]:
    """The group, rule and metavar of a setting."""
    extra = TrainConfig.model_fields[name].json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def from_settings(
    settings: Mapping[str, Any], sources: Mapping[str, str] | None = None
) -> TrainConfig:
    """The typed settings.

    Args:
        settings: values by the names of the settings.
        sources: where the user gave a setting, such as '--lr' or 'settings.toml: lr', by its name.

    Raises:
        ConfigError: a name or a value can't be used.
    """
    defaults = defaults_for(settings)
    try:
        config = TrainConfig.model_validate({**defaults, **settings})
    except ValidationError as error:
        faults = [
            _sentence(fault, settings, sources or {}) for fault in error.errors()[:MAX_FAULTS]
        ]
        raise ConfigError(one_line(" ".join(dict.fromkeys(faults)))) from error
    # Those that the user gives remain.
    config.model_fields_set.difference_update(defaults.keys() - settings.keys())
    return config


def _sentence(fault: ErrorDetails, settings: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """One of pydantic's errors as a sentence of ours."""
    if not fault["loc"]:
        return f"{fault['ctx']['error']}."
    name = str(fault["loc"][0])
    given = sources.get(name, name)
    if name not in TrainConfig.model_fields:
        meant = did_you_mean(name, TrainConfig.model_fields)
        return f"{given}: no such setting{meant or ' (--help lists them).'}"
    # The validators above give the rule themselves.
    rule = fault["ctx"]["error"] if fault["type"] == "value_error" else about(name)["rule"]
    return f"{given} must be {rule}; got {shown(settings[name])}."


def settings_to_keep(config: TrainConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for the run's record, with paths that hold wherever the run is resumed.

    Args:
        config: all settings.
        arguments: those of the model's constructor, the implied ones included.
    """
    settings = config.model_dump(mode="json", exclude={"run_dir"})
    paths = {name: getattr(config, name) for name in ("export_dir", "data_dir", "data")}
    found: dict[str, Any] = {n: str(path.absolute()) for n, path in paths.items() if path}
    if is_file(config.model):
        found["model"] = str(Path(config.model).absolute())
    if isinstance(rows := config.data_option.get("val"), str):
        found["data_option"] = {**config.data_option, "val": str(Path(rows).absolute())}
    # The name may derive from the paths as they were given.
    return settings | found | {"name": config.served_name, "set": dict(arguments)}
