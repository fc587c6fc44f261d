"""Publishes a model with the data module that it was trained on: export, load check, card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from pipelines.outputs import ClassOutput, Output
from pipelines.raw_inputs import ImageInput, RawInput, TableInput
from tfd2l.export.expected import Model, model_checks, outputs_of
from tfd2l.export.publish import publish_version
from tfd2l.export.signatures import export_model

__all__ = ["DataLike", "interface", "publish", "tolerance_of_policy"]

# Raw examples of the load check.
_NUM_CHECKED = 1000


class DataLike(Protocol):
    """The part of a data module that a publication needs."""

    def raw_input(self) -> RawInput:
        """The raw inputs and their preparation."""

    def output(self) -> Output:
        """The kind of output."""

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """Arrays of raw inputs, (n, ...), and targets, (n,)."""

    def describe(self) -> dict[str, Any]:
        """JSON values that identify the data."""


def publish(
    model: Model,
    data: DataLike,
    directory: Path | str,
    *,
    card: Mapping[str, Any] | None = None,
    keep: int | None = None,
) -> Path:
    """Publish a model as the next version below a directory that TensorFlow Serving watches.

    The exported graph takes the raw inputs of the data, pixels, encoded files or columns, and has
    the data's preparation; see `export_model` for the signatures. The version appears whole and
    checked, with a warm-up file, a card and checksums; see `publish_version`.

    Args:
        model: in its inference behaviour, as it is after a fit.
        data: the data module that it was trained on.
        directory: the model's directory, such as 'savedmodels/lenet'; the version is 1, 2, ... in
            it.
        card: further facts for `assets.extra/card.json`, as JSON values.
        keep: the number of versions to keep, the new one included; by default all.

    Returns:
        The directory of the new version.

    Raises:
        NotImplementedError: the data module does not describe its raw inputs.
        ValueError: `keep` is not a whole number of at least 1.
        ExportError: the model can't be exported, or fails the load check.

    Example:
        >>> import tempfile
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> model = d2l.LinearRegression(lr=0.03)
        >>> _ = d2l.Trainer(max_epochs=1, enable_progress_bar=False).fit(model, data)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     d2l.publish(model, data, folder).name
        '1'
    """
    raw_input, output = data.raw_input(), data.output()
    raw, _ = data.raw_examples(_NUM_CHECKED)
    tolerance = tolerance_of_policy()
    # First the model's own answers, which name a model that does not fit the data.
    outputs = outputs_of(model, raw_input, output, raw)
    checks = model_checks(model, raw_input, output, raw, tolerance=tolerance, outputs=outputs)
    history = getattr(getattr(model, "trainer", None), "history", None) or {}
    about = {
        "model": type(model).__name__,
        "data": data.describe(),
        "metrics": {name: column[-1] for name, column in history.items() if column},
        "tolerance": tolerance,
        **interface(data),
        **(card or {}),
    }
    return publish_version(
        lambda path: export_model(model, path, raw_input, output),
        directory,
        checks=checks,
        card=about,
        keep=keep,
    )


def tolerance_of_policy() -> float:
    """The tolerance of the load check under Keras' present dtype policy.

    It is the largest difference between the probabilities of the export and of the model, which
    comes from rounding in another order.
    """
    return 1e-4 if keras.config.dtype_policy().compute_dtype == "float32" else 0.02


def interface(data: DataLike) -> dict[str, Any]:
    """The entries `input` and `output` of a card: how clients make raw inputs, and read answers."""
    raw_input, output, about = data.raw_input(), data.output(), data.describe()
    inputs: dict[str, Any]
    if isinstance(raw_input, ImageInput):
        inputs = {
            "kind": "image",
            "shape": [*raw_input.shape],
            "framing": raw_input.framing,
            "encoded": raw_input.decode is not None,
        }
    elif isinstance(raw_input, TableInput):
        columns = {name: dtype.name for name, dtype in raw_input.columns.items()}
        example, _ = data.raw_examples(1)
        inputs = {
            "kind": "table",
            "columns": columns,
            # `predict` reads a CSV file as training did.
            "dialect": about.get("dialect", {}),
            "choices": {name: [*values] for name, values in raw_input.choices.items()},
            "takes_missing": raw_input.takes_missing,
            "example": {name: _as_json(values[0]) for name, values in example.items()},
        }
    else:
        inputs = {"kind": "features", "num_inputs": next(iter(raw_input.specs.values())).shape[1]}
    if isinstance(output, ClassOutput):
        return {"input": inputs, "output": {"kind": "class", "labels": [*output.labels]}}
    return {"input": inputs, "output": {"kind": "number", "name": about.get("target")}}


def _as_json(value: Any) -> float | str | None:
    """Convert a raw value of a table to JSON; a missing one is None."""
    if isinstance(value, np.float32):
        # The shortest digits that are this number, not those of the nearest double.
        return None if np.isnan(value) else float(str(value))
    return (value.decode() if isinstance(value, bytes) else str(value)) or None
