"""The typed, frozen settings of a run, from which the command line's flags are made.

Imports nothing slow, so that `--help` and errors in flags are answered at once.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from pipelines.basics.text import one_line, shown
from tfd2l.common.errors import Tfd2lError

__all__ = ["CHANGEABLE", "ConfigError", "TrainConfig", "from_settings", "parse", "settings_to_keep"]

ModelName = Literal["linear-scratch", "linear", "softmax-scratch", "softmax", "mlp-scratch", "mlp"]
# The largest settings file: a hundred times the size of all settings with a comment each.
MAX_BYTES = 1_000_000
# The book's settings for linear regression, where they differ from those for classifiers.
LINEAR_DEFAULTS = {"epochs": 3, "batch_size": 32, "lr": 0.03}
# The settings that may change when a run is resumed.
CHANGEABLE = ("epochs", "lr", "gradient_clip_val", "export_dir")


class ConfigError(Tfd2lError, ValueError):
    """A flag, a settings file or a value in it can't be used."""


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is wanted, not true or false")
    return value


def _size(value: Any) -> tuple[int, int]:
    """(height, width) from '32', '32x48', '32,48', or one or two numbers."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    sides = re.split("[x,]", value.strip("[]() ")) if isinstance(value, str) else value
    sides = [sides] if isinstance(sides, int) else sides
    try:
        height, width = int(sides[0]), int(sides[-1])
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        height = width = 0
    # int() would cut off what comes after a point.
    if height < 1 or width < 1 or len(sides) > 2 or {bool, float} & {*map(type, sides)}:
        raise ValueError("height x width in whole, positive pixels is wanted, e.g. 32x32 or 32")
    return (height, width)


def _no_empty(value: Any) -> Any:
    # An unset variable of a shell gives "", which Path would take for the current directory.
    if value == "":
        raise ValueError("a path is wanted; the current directory is '.'")
    return value


def _no_nul(path: Path) -> Path:
    # Python's own error for such a name is not clear.
    if "\0" in str(path):
        raise ValueError("a file's name has no NUL character")
    return path


Whole = Annotated[int, BeforeValidator(_no_bool)]
Real = Annotated[float, BeforeValidator(_no_bool)]
Pixels = Annotated[int, Field(le=4096)]
FilePath = Annotated[Path, BeforeValidator(_no_empty), AfterValidator(_no_nul)]


class TrainConfig(BaseSettings):
    """Train a model of the book, keep the run and export the model for TensorFlow Serving."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, case_sensitive=True
    )

    model: ModelName = Field("mlp", description="which model; the linear ones fit synthetic data")
    epochs: Whole = Field(
        10, ge=1, le=100_000, description="passes over the training data; linear models: 3"
    )
    batch_size: Whole = Field(
        256, ge=1, le=1_000_000, description="examples in a step; linear models: 32"
    )
    lr: Real = Field(0.1, gt=0, le=1e6, description="learning rate; linear models: 0.03")
    num_hiddens: Whole = Field(256, ge=1, le=1_000_000, description="hidden units of an mlp")
    resize: Annotated[tuple[Pixels, Pixels], BeforeValidator(_size)] = Field(
        (28, 28), description="height x width of the images, pixels, e.g. 32x32"
    )
    gradient_clip_val: Real = Field(
        0, ge=0, le=1e6, description="largest joint norm of the gradients; 0 does not clip"
    )
    seed: Whole = Field(0, ge=0, lt=2**31, description="what all random choices derive from")
    data_dir: FilePath | None = Field(None, description="directory with the Fashion-MNIST files")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="where to train")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Keras' dtype policy, for the concise models"
    )
    run_eagerly: bool = Field(False, description="run steps as plain Python, to debug them")
    jit_compile: bool | None = Field(
        None, description="compile the steps with XLA; by default where that is known to pay"
    )
    deterministic: bool = Field(
        False, description="the same bits on any number of threads; without XLA, so slower"
    )
    export_dir: FilePath = Field(Path("savedmodels"), description="where exports go")
    keep_versions: Whole | None = Field(
        None, ge=1, description="how many versions of the model's exports stay; by default all"
    )
    run_dir: FilePath | None = Field(
        None, description="the run's directory, new or empty; by default one in runs/"
    )
    checkpoint_every: Whole | None = Field(
        None, ge=1, description="write checkpoints also after so many steps within an epoch"
    )
    resume: FilePath | None = Field(
        None,
        exclude=True,
        description="resume the run in this directory with its own settings; epochs, lr, "
        "gradient_clip_val and export_dir may be changed",
    )
    config: FilePath | None = Field(
        None, exclude=True, description="a TOML file of settings; a flag outweighs it"
    )

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the given settings only: no environment variable changes a run unseen."""
        return (init_settings,)


def parse(argv: Sequence[str]) -> TrainConfig:
    """The settings from the flags and from the settings file that they may name.

    Args:
        argv: the flags, without the program's name.

    Raises:
        ConfigError: a flag, a key or a value can't be used.
        SystemExit: after `--help`, which is printed.
    """
    try:
        flags = CliSettingsSource(
            TrainConfig,
            cli_prog_name="python -m tfd2l.train",
            cli_parse_args=list(argv),
            cli_exit_on_error=False,
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_hide_none_type=True,
            cli_avoid_json=True,
        )()
    except SettingsError as error:
        raise ConfigError(f"{one_line(str(error))} (--help lists the flags)") from error
    settings = _read(Path(flags["config"])) if flags.get("config") else {}
    return from_settings({**settings, **flags})


def from_settings(settings: Mapping[str, Any]) -> TrainConfig:
    """The typed settings.

    Raises:
        ConfigError: a key or a value can't be used.
    """
    # Pydantic would take such names for its own arguments, which say where settings come from.
    if foreign := next((name for name in settings if name.startswith("_")), None):
        raise ConfigError(
            one_line(f"--{foreign}: no such setting (got {shown(settings[foreign])}).")
        )
    try:
        return TrainConfig(**settings)
    except ValidationError as error:
        raise ConfigError(_in_a_line(error)) from error


def settings_to_keep(config: TrainConfig) -> dict[str, Any]:
    """The settings for the run's record, with paths that hold wherever the run is resumed."""
    settings = config.model_dump(mode="json", exclude={"run_dir"})
    paths = {"export_dir": config.export_dir, "data_dir": config.data_dir}
    return settings | {name: str(path.absolute()) for name, path in paths.items() if path}


def _read(path: Path) -> dict[str, Any]:
    """Read the settings in a TOML file, whose keys are spelt like flags or with underscores."""
    try:
        with path.open("rb") as file:
            # One byte more than allowed shows that the file is too large.
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        settings = tomllib.loads(data.decode("utf-8"))
    except (OSError, ValueError) as error:
        # Python itself refuses numbers with very many digits, by a ValueError.
        problem = str(error)
    except RecursionError:
        problem = "it is nested too deeply"
    else:
        return _settings(path, settings)
    raise ConfigError(one_line(f"the settings file {str(path)!r} can't be read: {problem}"))


def _settings(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings by the names of their fields, each given once."""
    if "config" in settings:
        raise ConfigError(f"{str(path)!r}: a settings file can't name another; drop 'config'.")
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("-", "_")
        if name in found:
            raise ConfigError(
                one_line(f"{str(path)!r} sets {name!r} twice, with - and with _; drop one of them.")
            )
        found[name] = value
    return found


def _in_a_line(error: ValidationError) -> str:
    """All mistakes in one line, each with its setting and value."""
    faults = []
    for fault in error.errors():
        name = "--" + str(fault["loc"][0]).replace("_", "-") if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "no such setting"
        got = f" (got {shown(fault['input'])})" if name else ""
        faults.append(f"{name}: {message}{got}" if name else message)
    return one_line("; ".join(dict.fromkeys(faults))) + "."
