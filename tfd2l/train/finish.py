"""Finishes a run: checks the model for divergence, draws the report, publishes the export."""

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
from pipelines.basics.files import read_regular
from pipelines.images import prepare_images
from tfd2l.book.data import FashionMNIST, SyntheticRegressionData
from tfd2l.book.trainer import Trainer
from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.history import History
from tfd2l.engine.variables import tf_variable
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.export.expected import classifier_checks, logits_of, regressor_checks
from tfd2l.export.publish import CARD_FILE, publish_version, published_versions, tidy
from tfd2l.export.signatures import export_classifier, export_regressor
from tfd2l.export.verify import Check
from tfd2l.train.report import write_classifier_report, write_curves
from tfd2l.train.run_directory import RunDirectory

__all__ = ["Publication", "UnfitModelError", "check_fit", "finish"]

# The largest difference between the probabilities of the export and of the model, which come from
# rounding in another order.
TOLERANCE = {"float32": 1e-4, "mixed_bfloat16": 0.02, "mixed_float16": 0.02}
# A loss that grew by this factor is still a number, but no longer says anything about the data.
MAX_GROWTH = 1e6
_REMEDY = (
    "Nothing is published; begin a new run with a smaller --lr, or with --gradient-clip-val 1."
)


class UnfitModelError(Tfd2lError, ArithmeticError):
    """The model diverged, and so is not published."""


@dataclass(frozen=True)
class Publication:
    """The place and the particulars of a run's export.

    Attributes:
        base: the directory of the model's versions.
        keep: the number of versions to keep; None keeps all.
        precision: Keras' dtype policy of the model, which sets the tolerance of the load check.
        card: the entries of the model card that are known before the fit.
    """

    base: Path
    keep: int | None
    precision: str
    card: Mapping[str, Any]


def finish(
    trainer: Trainer,
    data: FashionMNIST | SyntheticRegressionData,
    directory: RunDirectory,
    publication: Publication,
) -> tuple[str, Path]:
    """Report on the trained model and publish its export.

    Returns:
        The results, in a line or two of text, and the directory of the published version.

    Raises:
        UnfitModelError: the model diverged; nothing is published.
        ExportError: the export fails its load check, or can't be written.
    """
    history = trainer.history
    # A killed run may have written its last checkpoint and not come to these.
    directory.prune(history)
    directory.log.write(history)
    check_fit(trainer.model, history)
    card = {
        **publication.card,
        "metrics": {name: column[-1] for name, column in history.items()},
        "run": directory.path.name,
        "run_id": directory.record.get("id"),
        "tolerance": TOLERANCE[publication.precision],
    }

    def published(write: Callable[[Path], None], checks: list[Check]) -> Path:
        """The version of this run in its present state, published unless it was before."""
        base, keep = publication.base, publication.keep
        known = _published_version(card, base)
        if known is None:
            return publish_version(write, base, checks=checks, card=card, keep=keep)
        # The killed process may not have come to it.
        tidy(base, keep)
        return known

    # The pictures are drawn while another process runs the load check.
    with ThreadPoolExecutor(1) as pool:
        curves = pool.submit(write_curves, directory.path, trainer.model.board)
        if isinstance(data, SyntheticRegressionData):
            results, export = _finish_regression(trainer.model, data, published)
        else:
            tolerance = TOLERANCE[publication.precision]
            results, export = _finish_classifier(
                trainer.model, data, tolerance, directory.path, pool, published
            )
        curves.result()
    directory.finish(export, directory.best_checkpoint(history))
    return results, export


def check_fit(model: Any, history: History) -> None:
    """Raise UnfitModelError if the last epoch's metrics, or the weights, show a divergence."""
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
    if last > MAX_GROWTH * max(first, 1):
        raise UnfitModelError(
            f"the training loss grew from {first:.3g} at the start to {last:.3g} in epoch {epoch}. "
            f"{_REMEDY}"
        )


def _finish_classifier(
    model: Any,
    data: FashionMNIST,
    tolerance: float,
    run_path: Path,
    pool: Executor,
    published: Callable[[Callable[[Path], None], list[Check]], Path],
) -> tuple[str, Path]:
    """Draw, in the pool, what a classifier gets wrong, and publish its export."""
    labels = fashion_mnist.LABELS
    images, classes = data.val

    def preprocess(raw: Any) -> Any:
        return prepare_images(raw, data.resize)

    logits = logits_of(model, images, preprocess)
    report = pool.submit(write_classifier_report, run_path, images, classes, logits, labels)
    accuracy = float((logits.argmax(axis=1) == classes).mean())
    checks = classifier_checks(
        model, images, labels=labels, preprocess=preprocess, tolerance=tolerance, logits=logits
    )
    export = published(
        lambda directory: export_classifier(
            model, directory, labels=labels, preprocess=preprocess, image_shape=images.shape[1:]
        ),
        checks,
    )
    report.result()
    return f"validation accuracy {accuracy:.4f} on {len(images):,} images", export


def _finish_regression(
    model: Any,
    data: SyntheticRegressionData,
    published: Callable[[Callable[[Path], None], list[Check]], Path],
) -> tuple[str, Path]:
    """Compare the parameters with the true ones, and publish the model's export."""
    w, b = (parameter.numpy().ravel() for parameter in model.get_w_b())
    w_error, b_error = np.subtract(data.w, w), np.subtract(data.b, b)
    export = published(
        lambda directory: export_regressor(model, directory, num_inputs=len(w)),
        regressor_checks(model, data.X.numpy()[data.num_train :]),
    )
    return f"error in estimating w: {w_error}\nerror in estimating b: {b_error}", export


def _published_version(card: Mapping[str, Any], base: Path) -> Path | None:
    """The version that this run published before it was killed, and so could not record."""
    for number in reversed(published_versions(base)):
        version = base / str(number)
        try:
            found = json.loads(read_regular(version / CARD_FILE))
            if card["run_id"] and all(found[key] == card[key] for key in ("run_id", "metrics")):
                check_files(version)
                return version
        except (OSError, ValueError, KeyError, TypeError, DamagedError):
            # Another run's version, or a damaged one, which a new version replaces.
            continue
    return None
