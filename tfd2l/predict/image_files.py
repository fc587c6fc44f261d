"""Answers image files: reads them as the model takes them, classifies and shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.basics.text import one_line
from tfd2l.common.commands import EXIT_USAGE, UsageError, complain
from tfd2l.common.figures import save_figure
from tfd2l.predict.forms import ImageForm
from tfd2l.predict.images import ImageError, Prepared, read_image_file
from tfd2l.predict.picture import LabelledImage, prediction_figure
from tfd2l.predict.predictor import Predictor

if TYPE_CHECKING:
    from pipelines.raw_inputs import Framing

__all__ = ["answer_images"]

# More than these make a page that nobody can read.
MAX_DRAWN = 48


def answer_images(
    files: Sequence[str],
    predictor: Predictor,
    form: ImageForm,
    framing: Framing | None = None,
    *,
    as_json: bool = False,
    picture: Path | None = None,
) -> int:
    """Classify image files and print the answers, then the errors.

    Args:
        files: their names; '-' is standard input.
        predictor: a classifier of images.
        form: the form of its images.
        framing: the change to each image; None for the one that `form` has.
        as_json: print JSON.
        picture: the file for a picture of images and probabilities.

    Returns:
        The exit status: 0, or 2 if a file could not be read, though the others were answered.

    Raises:
        UsageError: the model predicts a number, its images are neither grey nor in colour, or a
            garment, which is grey, is wanted in colour.
        ServingError: see `Predictor.classify`.
    """
    used = framing or form.framing
    _check(form, used, predictor)
    images = _read_images(files, form, used)
    results = _classify(predictor, form, files, images)
    if form.is_guess and framing is None and any(getattr(image, "notes", ()) for image in images):
        print(
            f"note: nothing says how {predictor} takes photographs; garments are cropped and "
            "inverted, as its images are grey, 28 x 28. --framing none resizes alone.",
            file=sys.stderr,
        )
    answers = [result for result in results if isinstance(result, LabelledImage)]
    if as_json:
        entries = [_as_json(file, result) for file, result in zip(files, results, strict=True)]
        print(json.dumps({"model": str(predictor), "framing": used, "images": entries}, indent=2))
    else:
        print(*map(_as_text, answers), sep="\n", end="\n" if answers else "")
    # So that errors come after the answers where both outputs go to one file.
    sys.stdout.flush()
    for file, result in zip(files, results, strict=True):
        if isinstance(result, ImageError):
            complain(f"{one_line(file)}: {result}")
    if picture is not None and answers:
        _draw(answers, picture)
    return 0 if len(answers) == len(results) else EXIT_USAGE


def _check(form: ImageForm, framing: Framing, predictor: Predictor) -> None:
    if form.is_number:
        raise UsageError(f"{predictor} predicts a number; use d2l.LocalModel(directory).regress.")
    if form.channels not in (1, 3):
        raise UsageError(f"images have 1 or 3 channels; {predictor} takes {form.channels}.")
    if framing == "garment" and form.channels == 3:
        raise UsageError(f"--framing garment makes grey images, but {predictor} takes colour.")


def _read_images(
    files: Sequence[str], form: ImageForm, framing: Framing
) -> list[Prepared | ImageError]:
    """Read each file as the model takes it; an error stands for an unreadable one."""
    images: list[Prepared | ImageError] = []
    for file in files:
        path = "/dev/stdin" if file == "-" else file
        try:
            image = read_image_file(path, form.size, channels=form.channels or 1, framing=framing)
            images.append(image)
        except ImageError as error:
            images.append(error)
    return images


def _classify(
    predictor: Predictor,
    form: ImageForm,
    files: Sequence[str],
    images: Sequence[Prepared | ImageError],
) -> list[LabelledImage | ImageError]:
    """Classify all images that were read, in one call."""
    pixels = [image.pixels for image in images if not isinstance(image, ImageError)]
    rows: Iterator[tuple[list[str], list[float]]] = iter(())
    if pixels:
        # Grey images may have an axis of one channel.
        batch = np.stack(pixels).reshape(len(pixels), *pixels[0].shape[:2], *form.shape[2:])
        found = predictor.classify(batch)
        rows = zip(found.classes.tolist(), found.scores.tolist(), strict=True)
    return [
        image if isinstance(image, ImageError) else LabelledImage(file, image, *next(rows))
        for file, image in zip(files, images, strict=True)
    ]


def _as_json(file: str, result: LabelledImage | ImageError) -> dict[str, Any]:
    if isinstance(result, ImageError):
        return {"file": file, "error": str(result)}
    # The scores of a picture without a garment are a model's, but they say nothing.
    is_sure = result.image.shows_garment
    return {
        "file": file,
        "label": result.classes[0] if is_sure else None,
        "probability": result.scores[0] if is_sure else None,
        "classes": result.classes,
        "scores": result.scores,
        "notes": result.image.notes,
    }


def _as_text(answer: LabelledImage) -> str:
    """Return three lines: the answer, the next likeliest classes, changes to the image."""
    pairs = zip(answer.classes[:3], answer.scores, strict=False)
    first, *others = [f"{label} {score:.3f}" for label, score in pairs]
    if not answer.image.shows_garment:
        first, others = "no garment found", []
    then = ", ".join(others) or "nothing else"
    changes = "; ".join(answer.image.notes) or "taken as it is"
    return f"{one_line(answer.file)}: {first}\n  then   {then}\n  image  {changes}"


def _draw(answers: Sequence[LabelledImage], path: Path) -> None:
    if len(answers) > MAX_DRAWN:
        print(f"{path} shows the first {MAX_DRAWN} of {len(answers)} images", file=sys.stderr)
    save_figure(prediction_figure(answers[:MAX_DRAWN]), path)
