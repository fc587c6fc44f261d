"""`python -m tfd2l.predict IMAGE... --url URL | --model DIR`: classify image files.

A served or an exported model answers. With a server TensorFlow is not imported. Flags are checked
before anything slow happens.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.basics.text import one_line
from tfd2l.common.commands import (
    EXIT_USAGE,
    CommandParser,
    UsageError,
    complain,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.common.figures import save_figure
from tfd2l.export.versions import MAX_VERSION
from tfd2l.predict.picture import LabelledImage, prediction_figure

if TYPE_CHECKING:
    from tfd2l.predict.images import ImageError, Prepared
    from tfd2l.predict.predictor import Predictor

__all__ = ["main"]

# Height and width at which images are read for a model that takes any size.
SIZE = (28, 28)
PICTURE_FORMATS = (".png", ".svg", ".pdf", ".jpg")
# More than these make a page that nobody can read.
MAX_DRAWN = 48


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Its exit status: 0; 2 for a wrong flag, no model, or a file that can't be read, though the
        others were answered; 130 after Ctrl-C.
    """
    return run_command(lambda: _predict(argv))


def _predict(argv: Sequence[str] | None) -> int:
    """Read the flags, find the model, read the images, classify them and show the answers."""
    flags = _parse(argv)
    predictor = _open_predictor(flags)
    images = _read_images(flags.images, predictor.image_shape())
    results = _classify(predictor, flags.images, images)
    _print(flags.images, results, str(predictor), as_json=flags.json)
    answers = [result for result in results if isinstance(result, LabelledImage)]
    if flags.picture is not None and answers:
        _draw(answers, flags.picture)
    return 0 if len(answers) == len(results) else EXIT_USAGE


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    flags = _parser().parse_args(argv)
    _settle_model(flags)
    path = flags.picture
    if path and not (path.suffix.lower() in PICTURE_FORMATS and path.parent.is_dir()):
        raise UsageError(
            "--picture must be in an existing directory and end with one of "
            f"{', '.join(PICTURE_FORMATS)}; got {str(path)!r}."
        )
    if path and path.exists() and any(_is_file(path, image) for image in flags.images):
        raise UsageError(f"--picture must not overwrite an image; got {str(path)!r} for both.")
    return flags


def _is_file(path: Path, image: str) -> bool:
    return Path(image).exists() and path.samefile(image)


def _parser() -> CommandParser:
    parser = CommandParser(
        "python -m tfd2l.predict",
        "IMAGE... [--url URL [--model NAME] | --model DIR] [flags]",
        "Classify image files with a model that a server has, or with an exported one: --model "
        "with a / in it, or that is a directory here, needs no server.",
        [
            "boot.png --model savedmodels/mlp",
            "boot.png shirt.jpg --picture answers.png",
            "boot.png --url http://127.0.0.1:8501 --model mlp --json",
        ],
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file; - is standard input")
    add = parser.add_argument_group("model").add_argument
    add(
        "--model",
        metavar="NAME|DIR",
        help="the model's name in the server (default: mlp); or without --url its directory, "
        "or that of a version: savedmodels/mlp[/1]",
    )
    add("--dir", type=Path, metavar="DIR", help="as --model, but always a directory")
    add = parser.add_argument_group("server").add_argument
    add(
        "--url",
        metavar="URL",
        help="address of TensorFlow Serving's REST interface (default: http://127.0.0.1:8501)",
    )
    add(
        "--model-version",
        type=whole_number_from(0, MAX_VERSION),
        metavar="N",
        help="a version in the server (default: the newest)",
    )
    add("--timeout-s", type=seconds, metavar="S", help="seconds to wait in each try (default: 10)")
    add = parser.add_argument_group("output").add_argument
    add("--picture", type=Path, metavar="FILE", help="draw images and probabilities to this file")
    add("--json", action="store_true", help="print JSON")
    return parser


def _settle_model(flags: argparse.Namespace) -> None:
    """Tell a directory in --model from a name; UsageError if the flags don't go together."""
    if flags.model and flags.url is None and flags.dir is None:
        path = Path(flags.model)
        if "/" in flags.model or path.is_dir():
            flags.dir, flags.model = path, None
    for name in ("url", "model", "model_version", "timeout_s"):
        if flags.dir is not None and getattr(flags, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for a server; drop it or the directory "
                f"{str(flags.dir)!r}."
            )


def _open_predictor(flags: argparse.Namespace) -> Predictor:
    """Make the client that the flags describe."""
    if flags.dir is None:
        from tfd2l.predict.rest_client import Client

        settings = {"url": flags.url, "model": flags.model, "timeout_s": flags.timeout_s}
        given = {name: value for name, value in settings.items() if value is not None}
        return Client(version=flags.model_version, **given)
    from tfd2l.predict.local import LocalModel

    return LocalModel(flags.dir)


def _read_images(
    files: Sequence[str], shape: tuple[int | None, int | None]
) -> list[Prepared | ImageError]:
    """Read each file at the size that the model takes; an error stands for an unreadable one."""
    from tfd2l.predict.images import ImageError, read_image_file

    size = (shape[0] or SIZE[0], shape[1] or SIZE[1])
    images: list[Prepared | ImageError] = []
    for file in files:
        try:
            images.append(read_image_file("/dev/stdin" if file == "-" else file, size))
        except ImageError as error:
            images.append(error)
    return images


def _classify(
    predictor: Predictor, files: Sequence[str], images: Sequence[Prepared | ImageError]
) -> list[LabelledImage | ImageError]:
    """Classify all images that were read, in one call."""
    import numpy as np

    from tfd2l.predict.images import ImageError

    pixels = [image.pixels for image in images if not isinstance(image, ImageError)]
    rows: Iterator[tuple[list[str], list[float]]] = iter(())
    if pixels:
        found = predictor.classify(np.stack(pixels))
        rows = zip(found.classes.tolist(), found.scores.tolist(), strict=True)
    return [
        image if isinstance(image, ImageError) else LabelledImage(file, image, *next(rows))
        for file, image in zip(files, images, strict=True)
    ]


def _print(
    files: Sequence[str], results: Sequence[LabelledImage | ImageError], model: str, as_json: bool
) -> None:
    """Print the answers as text or JSON, then the errors."""
    entries, texts, errors = [], [], []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, LabelledImage):
            entries.append(_as_json(result))
            texts.append(_as_text(result))
        else:
            entries.append({"file": file, "error": str(result)})
            errors.append(f"{one_line(file)}: {result}")
    if as_json:
        texts = [json.dumps({"model": model, "images": entries}, indent=2)]
    for text in texts:
        # Flushed, so that errors come after the answers where both outputs go to one file.
        print(text, flush=True)
    for error in errors:
        complain(error)


def _as_json(answer: LabelledImage) -> dict[str, Any]:
    # The scores of a picture without a garment are a model's, but they say nothing.
    is_sure = answer.image.shows_garment
    return {
        "file": answer.file,
        "label": answer.classes[0] if is_sure else None,
        "probability": answer.scores[0] if is_sure else None,
        "classes": answer.classes,
        "scores": answer.scores,
        "notes": answer.image.notes,
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
