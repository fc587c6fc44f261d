"""How a run ends: is the model fit to be published, what became of it, and its export."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tfd2l.book.data import FashionMNIST, SyntheticRegressionData
from tfd2l.book.models.linear import LinearRegression, LinearRegressionScratch
from tfd2l.book.module import Classifier
from tfd2l.book.trainer import Trainer
from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.state import History
from tfd2l.engine.variables import tf_variable
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.export.expected import classifier_checks, logits_of, regressor_checks
from tfd2l.export.publish import CARD_FILE, publish, published_versions
from tfd2l.export.signatures import export_classifier, export_regressor
from tfd2l.export.verify import Check
from tfd2l.train.config import TrainConfig
from tfd2l.train.report import write_classifier_report, write_curves
from tfd2l.train.run_directory import RunDirectory

__all__ = ["Outcome", "UnfitModelError", "check_fit", "conclude"]

# How far an exported model's probabilities may be from the model's own: rounding in another order.
TOLERANCE = {"float32": 1e-4, "mixed_bfloat16": 0.02, "mixed_float16": 0.02}
# A loss that grew so far has nothing to do with the data any more, though it is a number yet.
MOST_GROWTH = 1e6
_REMEDY = (
    "Nothing is published; begin a new run with a smaller --lr, or with --gradient-clip-val 1."
)


class UnfitModelError(Tfd2lError, ArithmeticError):
    """What was trained is nothing to publish: it diverged."""


@dataclass(frozen=True)
class Outcome:
    """What a finished run has to show: a line or two of results, and its export's directory."""

    results: str
    export: Path


def conclude(
    config: TrainConfig,
    data: FashionMNIST | SyntheticRegressionData,
    directory: RunDirectory,
    trainer: Trainer,
    about_data: Mapping[str, Any],
) -> Outcome:
    """Draw what became of the trainer's model, and publish its export.

    Raises:
        UnfitModelError: the model diverged; nothing is published.
        ExportError: the export fails its load check, or can't be written.
    """
    history, model = trainer.history, trainer.model
    # As far as a process that was killed after the last checkpoint didn't come to it.
    directory.write_metrics(history)
    directory.write_events(history)
    check_fit(model, history)
    card = {
        "model": config.model,
        "settings": config.model_dump(mode="json"),
        "data": about_data,
        "metrics": {name: column[-1] for name, column in history.items()},
        "run": directory.path.name,
        "run_id": directory.record.get("id"),
    }
    # Pictures are drawn while the export is written and its load check, another process, runs.
    with ThreadPoolExecutor(1) as pool:
        curves = pool.submit(write_curves, directory.path, trainer)
        if isinstance(data, SyntheticRegressionData):
            outcome = _regression(config, model, data, card)
        else:
            outcome = _images(config, model, data, card, directory.path, pool)
        curves.result()
    directory.finish(outcome.export, directory.best_checkpoint(history))
    return outcome


def check_fit(model: Any, history: History) -> None:
    """Raise UnfitModelError if the last epoch's numbers, or the weights, show a divergence."""
    epoch = len(history["epoch"])
    for name, column in history.items():
        if not np.isfinite(column[-1]):
            raise UnfitModelError(f"{name} is {column[-1]} in epoch {epoch}. {_REMEDY}")
    for number, variable in enumerate(map(tf_variable, model.variables), 1):
        if variable.dtype.is_floating and not np.isfinite(tf.cast(variable, tf.float64)).all():
            raise UnfitModelError(
                f"after epoch {epoch} variable {number} of the model, {variable.name!r}, has "
                f"numbers that are infinite or NaN. {_REMEDY}"
            )
    drawn = model.board.data.get("train_loss")
    first, last = drawn[0].y if drawn else np.inf, history.get("train_loss", [0])[-1]
    if last > MOST_GROWTH * max(first, 1):
        raise UnfitModelError(
            f"the training loss grew from {first:.3g} at the start to {last:.3g} in epoch {epoch}. "
            f"{_REMEDY}"
        )


def _images(
    config: TrainConfig,
    model: Classifier,
    data: FashionMNIST,
    card: dict[str, Any],
    run: Path,
    pool: Executor,
) -> Outcome:
    """Draw what a classifier of images gets wrong, in the pool, and publish its export."""
    labels = fashion_mnist.LABELS
    images, classes = data.val

    def preprocess(raw: Any) -> Any:
        return prepare_images(raw, config.resize)

    logits = logits_of(model, images, preprocess)
    report = pool.submit(write_classifier_report, run, images, classes, logits, labels)
    accuracy = float((logits.argmax(axis=1) == classes).mean())
    checks = classifier_checks(
        model,
        images,
        labels=labels,
        preprocess=preprocess,
        tolerance=TOLERANCE[config.precision],
        logits=logits,
    )
    version = _published(
        lambda directory: export_classifier(
            model, directory, labels=labels, preprocess=preprocess, image_shape=images.shape[1:]
        ),
        config,
        checks,
        card,
    )
    report.result()
    return Outcome(f"validation accuracy {accuracy:.4f} on {len(images):,} images", version)


def _regression(
    config: TrainConfig,
    model: LinearRegression | LinearRegressionScratch,
    data: SyntheticRegressionData,
    card: dict[str, Any],
) -> Outcome:
    """Say how far the parameters are from the true ones, and publish the model's export."""
    w, b = (parameter.numpy().ravel() for parameter in model.get_w_b())
    w_error, b_error = np.subtract(data.w, w), np.subtract(data.b, b)
    version = _published(
        lambda directory: export_regressor(model, directory, num_inputs=len(w)),
        config,
        regressor_checks(model, data.X.numpy()[data.num_train :]),
        card,
    )
    return Outcome(f"error in estimating w: {w_error}\nerror in estimating b: {b_error}", version)


def _published(
    write: Callable[[Path], None], config: TrainConfig, checks: list[Check], card: dict[str, Any]
) -> Path:
    """The version of this run as it is now, published unless it was before."""
    base = config.export_dir / config.model
    known = _version_of(card, base)
    return known or publish(write, base, checks=checks, card=card, keep=config.keep_versions)


def _version_of(card: Mapping[str, Any], base: Path) -> Path | None:
    """The version that this run published before it was killed, and so never noted down."""
    for number in reversed(published_versions(base)):
        version = base / str(number)
        try:
            found = json.loads((version / CARD_FILE).read_text(encoding="utf-8"))
            if card["run_id"] and all(found[key] == card[key] for key in ("run_id", "metrics")):
                check_files(version)
                return version
        except (OSError, ValueError, KeyError, TypeError, DamagedError):
            # Somebody else's version, or a damaged one, whose place a new one takes.
            continue
    return None
