"""Finishes a run: chooses the epoch, evaluates it, draws the report, publishes the export."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from pipelines.basics.files import read_regular
from tfd2l.book.callbacks.tensorboard import TensorBoard
from tfd2l.book.data import DataModule, SyntheticRegressionData
from tfd2l.book.trainer import Trainer
from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.checkpoint import epochs_in, load_checkpoint
from tfd2l.engine.history import History
from tfd2l.engine.optimizer import finalize
from tfd2l.engine.variables import tf_variable
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.export.expected import model_checks
from tfd2l.export.models import interface, tolerance_of_policy
from tfd2l.export.publish import CARD_FILE, publish_version, published_versions, tidy
from tfd2l.export.signatures import export_model
from tfd2l.train.evaluation import Answers, Evaluation, answers_of, latest_card, reason_against
from tfd2l.train.metrics_log import write_metrics
from tfd2l.train.report import write_curves, write_report
from tfd2l.train.run_directory import RunDirectory
from tfd2l.train.settings.config import ConfigError

__all__ = [
    "Publication", "Result", "UnfitModelError", "card_of", "check_fit",
    "check_interface", "describe_results", "finish", "published",
]  # fmt: skip

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
        export: the epoch to export, 'best' or 'last'.
        withheld: the reason why nothing is to be published yet, or None.
        anyway: publish a model also if it only guesses, or if the served one is better.
    """

    base: Path
    keep: int | None
    export: Literal["best", "last"]
    withheld: str | None
    anyway: bool


@dataclass(frozen=True)
class Result:
    """The end of a run.

    Attributes:
        text: the results, in a line or two.
        evaluation: that of the chosen epoch.
        epoch: the chosen epoch, from 1.
        export: the directory of the published version, or None.
        reason: the reason why nothing was published, or None.
        best: the checkpoint of the best epoch, or None.
        run: the run's directory.
    """

    text: str
    evaluation: Evaluation
    epoch: int
    export: Path | None
    reason: str | None
    best: Path | None
    run: Path


def finish(
    trainer: Trainer,
    data: DataModule,
    directory: RunDirectory,
    publication: Publication,
    charts: TensorBoard,
) -> Result:
    """Report on the trained model, with pictures for its charts too, and publish its export.

    Raises:
        UnfitModelError: the model diverged; nothing is published.
        ExportError: the export fails its load check, or can't be written.
    """
    history, model = trainer.history, trainer.model
    # A killed run may have written its last checkpoint and not come to these.
    directory.prune(history)
    write_metrics(directory.path, history)
    epoch = len(history["epoch"])
    if publication.export == "best":
        epoch = _restore_best(trainer, directory)
    check_fit(model, history, epoch)
    answers = answers_of(model, data)
    evaluation = answers.evaluation
    reason = publication.withheld
    if reason is None and not publication.anyway:
        reason = reason_against(evaluation, publication.base)
    export = None
    # The pictures are drawn while another process runs the load check.
    with ThreadPoolExecutor(1) as pool:
        curves = pool.submit(write_curves, directory.path, model.board)
        report = pool.submit(
            write_report,
            directory.path,
            data.output(),
            answers.raw,
            answers.targets,
            answers.outputs,
        )
        if reason is None:
            card = card_of(data, directory, history, epoch, evaluation)
            export = published(model, data, answers, publication, card)
        curves.result()
        for picture in report.result():
            charts.write_image(picture.stem, picture, epoch)
    best = directory.best_checkpoint(history)
    conclusion = {
        "export": None if export is None else str(export.absolute()),
        "reason": reason,
        "epoch": epoch,
        "evaluation": evaluation.as_json(),
        "execution": trainer.execution,
    }
    directory.finish(conclusion, best)
    text = describe_results(data, model, evaluation, epoch, len(history["epoch"]))
    return Result(text, evaluation, epoch, export, reason, best, directory.path)


def card_of(
    data: DataModule,
    directory: RunDirectory,
    history: History,
    epoch: int,
    evaluation: Evaluation,
) -> dict[str, Any]:
    """The model card of an epoch of a run."""
    settings = directory.record["settings"]
    return {
        "model": Path(settings["model"]).name,
        "settings": settings,
        "data": data.describe(),
        "epoch": epoch,
        "metrics": {name: column[epoch - 1] for name, column in history.items()},
        "evaluation": evaluation.as_json(),
        "run": directory.path.name,
        "run_id": directory.record.get("id"),
    }


def check_interface(base: Path, data: DataModule, anyway: bool) -> None:
    """Raise ConfigError if the versions in `base` take other inputs, or name other classes.

    A client of theirs would get answers of another model.
    """
    _, card = latest_card(base)
    wanted = json.loads(json.dumps(interface(data)))
    other = [key for key in wanted if key in card and _form(card[key]) != _form(wanted[key])]
    if other and not anyway:
        raise ConfigError(
            f"{base} has versions of another model, with another {' and another '.join(other)}. "
            "Choose another --name, or replace it by --publish-anyway."
        )


# Of a card's `input` and `output`, with which clients get answers of the same form.
_OTHER_FACTS = ("choices", "dialect", "example", "framing", "name", "takes_missing")


def _form(side: Any) -> Any:
    """The part of a card's `input` or `output` that clients depend on."""
    about = side if isinstance(side, dict) else {}
    return {key: value for key, value in about.items() if key not in _OTHER_FACTS}


def check_fit(model: Any, history: History, epoch: int | None = None) -> None:
    """Raise UnfitModelError if an epoch's metrics, or the weights, show a divergence.

    Args:
        model: has the weights of that epoch.
        history: of the fit.
        epoch: from 1; by default the last.
    """
    epoch = len(history["epoch"]) if epoch is None else epoch
    for name, column in history.items():
        if not np.isfinite(column[epoch - 1]):
            raise UnfitModelError(f"{name} is {column[epoch - 1]} in epoch {epoch}. {_REMEDY}")
    for number, variable in enumerate(map(tf_variable, model.variables), 1):
        if variable.dtype.is_floating and not np.isfinite(tf.cast(variable, tf.float64)).all():
            raise UnfitModelError(
                f"after epoch {epoch} variable {number} of the model, {variable.name!r}, has "
                f"numbers that are infinite or NaN. {_REMEDY}"
            )
    drawn = model.board.data.get("train_loss")
    first = drawn[0].y if drawn else np.inf
    last = history["train_loss"][epoch - 1] if "train_loss" in history else 0
    if last > MAX_GROWTH * max(first, 1):
        raise UnfitModelError(
            f"the training loss grew from {first:.3g} at the start to {last:.3g} in epoch {epoch}. "
            f"{_REMEDY}"
        )


def _restore_best(trainer: Trainer, directory: RunDirectory) -> int:
    """Give the model the weights of the best epoch, and return its number."""
    last, best = len(trainer.history["epoch"]), directory.best_checkpoint(trainer.history)
    if best is None or epochs_in(best) == last:
        return last
    load_checkpoint(best, trainer.model, trainer.optim)
    # With `use_ema`, the moving averages of that epoch.
    finalize(trainer.optim)
    return epochs_in(best)


def published(
    model: Any,
    data: DataModule,
    answers: Answers,
    publication: Publication,
    card: Mapping[str, Any],
) -> Path:
    """The version of this run in its present state, published unless it was before.

    Args:
        model: the model.
        data: its data.
        answers: the model's own, for the load check.
        publication: the place.
        card: of `card_of`.
    """
    base, keep, tolerance = publication.base, publication.keep, tolerance_of_policy()
    known = _published_version(card, base)
    if known is not None:
        # The killed process may not have come to it.
        tidy(base, keep)
        return known
    raw_input, output = data.raw_input(), data.output()
    return publish_version(
        lambda path: export_model(model, path, raw_input, output),
        base,
        checks=model_checks(
            model, raw_input, output, answers.raw, tolerance=tolerance, outputs=answers.outputs
        ),
        card={**card, **interface(data), "tolerance": tolerance},
        keep=keep,
    )


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


def describe_results(
    data: DataModule, model: Any, evaluation: Evaluation, epoch: int, num_epochs: int
) -> str:
    """The results in a line or two."""
    if isinstance(data, SyntheticRegressionData):
        w, b = (parameter.numpy().ravel() for parameter in model.get_w_b())
        w_error, b_error = np.subtract(data.w, w), np.subtract(data.b, b)
        return f"error in estimating w: {w_error}\nerror in estimating b: {b_error}"
    what = "images" if "image" in data.raw_input().specs else "rows"
    part = "training" if data.val_dataloader() is None else "validation"
    of = "" if epoch == num_epochs else f", of epoch {epoch}, the best of {num_epochs}"
    number = f"{evaluation.num_examples:,} {what}"
    if evaluation.metric == "accuracy":
        return f"{part} accuracy {evaluation.value:.4f} on {number}{of}"
    return (
        f"{part} error {evaluation.value:.5g} on {number} (root mean square; the mean alone has "
        f"{evaluation.guess:.5g}){of}"
    )
