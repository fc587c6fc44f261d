"""The typed, frozen settings of a run, and errors in them in plain words.

Imports nothing slow, so that `--help` and errors in flags are answered at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipelines.basics.numbers import MAX_INT32
from pipelines.basics.text import one_line, shown
from tfd2l.common.commands import UsageError
from tfd2l.common.suggestions import did_you_mean
from tfd2l.train.setting_types import FilePath, Real, Size, Whole

__all__ = ["CHANGEABLE", "ConfigError", "TrainConfig", "about", "from_settings", "settings_to_keep"]

ModelName = Literal["linear-scratch", "linear", "softmax-scratch", "softmax", "mlp-scratch", "mlp"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
# The book's settings for linear regression, where they differ from those for classifiers.
LINEAR_DEFAULTS = {"epochs": 3, "batch_size": 32, "lr": 0.03}
# The settings that may change when a run is resumed.
CHANGEABLE = ("epochs", "lr", "gradient_clip_val", "export_dir")
# More don't fit into the line.
MAX_FAULTS = 8
# Weights of a layer: 4 GiB of float32.
MAX_WEIGHTS = 2**30


class ConfigError(UsageError, ValueError):
    """A flag, a settings file or a value in it can't be used."""


def _setting(
    default: Any, group: str, text: str, rule: str, metavar: str | None = None, **limits: Any
) -> Any:
    """Declare a setting.

    Args:
        default: its value where none is given.
        group: its heading in `--help`.
        text: its meaning, for `--help`.
        rule: what its value must be, for errors.
        metavar: stands for the value in `--help`; a flag without one takes no value.
        limits: pydantic's bounds and options.
    """
    extra: dict[str, Any] = {"group": group, "rule": rule, "metavar": metavar}
    return Field(default, description=text, json_schema_extra=extra, **limits)


def _whole(
    default: int | None, group: str, text: str, minimum: int = 1, maximum: int | None = None
) -> Any:
    limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum:,}"
    return _setting(default, group, text, f"a whole number {limits}", "N", ge=minimum, le=maximum)


def _choice(default: str, group: str, text: str, kind: Any) -> Any:
    names = ", ".join(get_args(kind))
    return _setting(default, group, f"{names}; {text}", f"one of {names}", "NAME")


def _file(default: Path | None, group: str, text: str, metavar: str = "DIR", **more: Any) -> Any:
    return _setting(default, group, text, "a path", metavar, **more)


def _switch(default: bool | None, group: str, text: str) -> Any:
    return _setting(default, group, text, "true or false")


class TrainConfig(BaseModel):
    """Train a model of the book, keep the run and export the model for TensorFlow Serving."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: ModelName = _choice(
        "mlp", "model", "the linear ones fit synthetic data, the others Fashion-MNIST", ModelName
    )
    num_hiddens: Whole = _whole(256, "model", "hidden units of an mlp", 1, 1_000_000)
    data_dir: FilePath | None = _file(None, "data", "has the four files of Fashion-MNIST")
    resize: Size = _setting(
        (28, 28),
        "data",
        "size of the images in pixels",
        "HEIGHTxWIDTH",
        "HEIGHTxWIDTH",
    )
    epochs: Whole = _whole(
        10, "training", "passes over the training data; linear models: 3", 1, 100_000
    )
    batch_size: Whole = _whole(
        256, "training", "examples in a step; linear models: 32", 1, 1_000_000
    )
    lr: Real = _setting(
        0.1,
        "training",
        "learning rate; linear models: 0.03",
        "a number from 1.2e-38 to 1,000,000",
        "RATE",
        # Smaller ones lose digits in float32, and become 0 in the end.
        ge=2.0**-126,
        le=1e6,
    )
    gradient_clip_val: Real = _setting(
        0,
        "training",
        "largest joint norm of the gradients; 0 does not clip",
        "a number from 0 to 1,000,000",
        "NORM",
        ge=0,
        le=1e6,
    )
    seed: Whole = _whole(0, "training", "the seed of all random choices", 0, 2**31 - 1)
    device: Device = _choice("auto", "execution", "auto takes a GPU if TensorFlow sees one", Device)
    precision: Precision = _choice(
        "float32", "execution", "dtype policy of the models on Keras layers", Precision
    )
    run_eagerly: bool = _switch(False, "execution", "run steps as plain Python, to debug them")
    jit_compile: bool | None = _switch(
        None, "execution", "compile the steps with XLA (default: where that is known to pay)"
    )
    deterministic: bool = _switch(
        False, "execution", "the same bits on any number of threads; without XLA, so slower"
    )
    run_dir: FilePath | None = _file(
        None, "output", "the run's directory, new or empty (default: a new one in runs)"
    )
    checkpoint_every: Whole | None = _whole(
        None, "output", "also write checkpoints after so many steps within an epoch", 1, MAX_INT32
    )
    export_dir: FilePath = _file(Path("savedmodels"), "output", "the directory of exports")
    keep_versions: Whole | None = _whole(
        None, "output", "the number of the model's versions to keep (default: all)", 1, MAX_INT32
    )
    resume: FilePath | None = _file(
        None,
        "settings of a run",
        "resume the run in this directory with its own settings; --epochs, --lr, "
        "--gradient-clip-val and --export-dir may be given anew",
        exclude=True,
    )
    config: FilePath | None = _file(
        None, "settings of a run", "a TOML file of settings; a flag outweighs it", "FILE",
        exclude=True,
    )  # fmt: skip

    @property
    def is_linear(self) -> bool:
        """True for the regressions, which train on synthetic data."""
        return self.model.startswith("linear")

    @property
    def is_scratch(self) -> bool:
        """True for models on bare variables, without Keras layers."""
        return self.model.endswith("scratch")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_model(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and str(values.get("model", "")).startswith("linear"):
            return {**LINEAR_DEFAULTS, **values}
        return values

    @model_validator(mode="after")
    def _settings_fit_together(self) -> TrainConfig:
        if self.run_eagerly and self.jit_compile:
            raise ValueError("run_eagerly and jit_compile exclude each other; drop one")
        if self.deterministic and self.jit_compile:
            raise ValueError(
                "what XLA computes depends on the number of threads; drop deterministic or "
                "jit_compile"
            )
        if self.precision != "float32" and self.is_scratch:
            raise ValueError(
                f"precision {self.precision!r} is a policy of Keras layers, and {self.model!r} "
                f"has none; use model {self.model.removesuffix('-scratch')!r}"
            )
        fields = type(self).model_fields
        # The record of a run names all settings, the defaults included.
        given = {n for n in self.model_fields_set if getattr(self, n) != fields[n].default}
        if "num_hiddens" in given and not self.model.startswith("mlp"):
            raise ValueError(f"num_hiddens is for 'mlp' and 'mlp-scratch', not {self.model!r}")
        if self.model.startswith("mlp") and math.prod(self.resize) * self.num_hiddens > MAX_WEIGHTS:
            raise ValueError(
                f"num_hiddens times the pixels of resize must be at most {MAX_WEIGHTS:,} weights; "
                f"got {self.num_hiddens:,} times {math.prod(self.resize):,}"
            )
        for name in ("resize", "data_dir"):
            if name in given and self.is_linear:
                raise ValueError(f"{name} is for image models; {self.model!r} fits made-up data")
        others = self.model_fields_set - {"resume", *CHANGEABLE}
        if self.resume is not None and others:
            raise ValueError(
                f"resume takes all settings but {', '.join(CHANGEABLE)} from the run; drop "
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
    try:
        return TrainConfig.model_validate(dict(settings))
    except ValidationError as error:
        faults = [
            _sentence(fault, settings, sources or {}) for fault in error.errors()[:MAX_FAULTS]
        ]
        raise ConfigError(one_line(" ".join(dict.fromkeys(faults)))) from error


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


def settings_to_keep(config: TrainConfig) -> dict[str, Any]:
    """The settings for the run's record, with paths that hold wherever the run is resumed."""
    settings = config.model_dump(mode="json", exclude={"run_dir"})
    paths = {"export_dir": config.export_dir, "data_dir": config.data_dir}
    return settings | {name: str(path.absolute()) for name, path in paths.items() if path}
