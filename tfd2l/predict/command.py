"""`python -m tfd2l.predict IMAGE... --url URL | --model DIR`: classify image files.

A served or an exported model answers. With a server TensorFlow is not imported. Flags are checked
before anything slow happens.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfd2l.common.commands import (
    EXIT_USAGE,
    CommandParser,
    UsageError,
    complain,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.export.versions import MAX_VERSION
from tfd2l.predict.labelled import LabelledImage, UnreadableImage, printable_name

if TYPE_CHECKING:
    from tfd2l.predict.images import ImageError, Prepared
    from tfd2l.predict.predictor import Predictor

__all__ = ["main"]

URL, MODEL, TIMEOUT_S = "http://127.0.0.1:8501", "mlp", 10.0
# Height and width at which images are read for a model that takes any size.
SIZE = (28, 28)
PICTURE_FORMATS = (".png", ".svg", ".pdf", ".jpg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Its exit status: 0; 2 for a wrong flag, no model, or a file that can't be read, though the
        others were answered; 130 after Ctrl-C.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and file names may have letters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    return run_command(lambda: _predict(argv))


def _predict(argv: Sequence[str] | None) -> int:
    """Read the flags, find the model, read the images, classify them and show the answers."""
    flags = _parse(argv)
    predictor = _open_predictor(flags)
    images = _read_images(flags.images, predictor.image_shape())
    results = _classify(predictor, flags.images, images)
    _print(results, flags, str(predictor))
    answers = [result for result in results if isinstance(result, LabelledImage)]
    if flags.picture is not None and answers:
        _draw(answers, flags.picture)
    return 0 if len(answers) == len(results) else EXIT_USAGE


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = CommandParser(
        "python -m tfd2l.predict",
        "Classify image files with a model that a server has, or with an exported one: --model "
        "with a / in it, or that is a directory here, needs no server.",
        usage="%(prog)s IMAGE... [--url URL [--model NAME] | --model DIR] [more flags]",
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file; - is standard input")
    add("--url", help=f"address of TensorFlow Serving's REST interface; by default {URL}")
    add(
        "--model",
        metavar="NAME|DIR",
        help=f"the model's name in the server, by default {MODEL}; or without --url its directory, "
        "or that of a version: savedmodels/mlp[/1]",
    )
    add(
        "--model-version",
        type=whole_number_from(0, MAX_VERSION),
        metavar="N",
        help="a version in the server; by default the newest",
    )
    add("--timeout-s", type=seconds, metavar="S", help=f"seconds to wait; by default {TIMEOUT_S:g}")
    add("--dir", type=Path, help="as --model, but always a directory")
    add("--picture", type=Path, metavar="FILE", help="draw images and probabilities to this file")
    add("--json", action="store_true", help="print JSON")
    flags = parser.parse_args(argv)
    _settle_model(flags)
    _check_picture(flags.picture)
    return flags


def _settle_model(flags: argparse.Namespace) -> None:
    """Tell a directory in --model from a name; UsageError if the flags don't go together."""
    if flags.url is not None and "/" in (flags.model or ""):
        raise UsageError(
            f"--model with --url is a name in the server, without /; got {flags.model!r}. Give the "
            "name, or drop --url to query the model in that directory."
        )
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


def _check_picture(path: Path | None) -> None:
    """Raise UsageError if the picture can't be written there, before any image is classified."""
    if path is None:
        return
    if path.suffix.lower() not in PICTURE_FORMATS:
        raise UsageError(
            f"--picture must end with one of {', '.join(PICTURE_FORMATS)}; got {str(path)!r}."
        )
    if not path.parent.is_dir() or path.is_dir():
        raise UsageError(
            f"--picture must be a file in an existing directory; got {str(path)!r}. Make the "
            "directory, or name another file."
        )


def _open_predictor(flags: argparse.Namespace) -> Predictor:
    """Make the client that the flags describe; an exported model is loaded at once."""
    if flags.dir is None:
        from tfd2l.predict.rest_client import Client

        return Client(
            URL if flags.url is None else flags.url,
            MODEL if flags.model is None else flags.model,
            flags.model_version,
            timeout_s=TIMEOUT_S if flags.timeout_s is None else flags.timeout_s,
        )
    from tfd2l.common.startup import quiet_start
    from tfd2l.predict.answers import ServingError
    from tfd2l.predict.local import LocalModel

    model = LocalModel(flags.dir)
    problem = None
    with quiet_start():
        try:
            model.image_shape()
        except ServingError as error:
            # Raised in here, it would bring TensorFlow's start-up messages to the terminal.
            problem = error
    if problem is not None:
        raise problem
    return model


def _read_images(
    files: Sequence[str], shape: tuple[int | None, int | None]
) -> list[Prepared | ImageError]:
    """Read each file at the size that the model takes; an error stands for an unreadable one."""
    from tfd2l.predict.images import ImageError

    size = (shape[0] or SIZE[0], shape[1] or SIZE[1])
    images: list[Prepared | ImageError] = []
    with warnings.catch_warnings():
        # Pillow warns of damage that it decodes around, so that the pixels may be wrong.
        warnings.filterwarnings("error", module=r"PIL\.")
        for file in files:
            try:
                images.append(_read_image(file, size))
            except ImageError as error:
                images.append(error)
    return images


def _read_image(file: str, size: tuple[int, int]) -> Prepared:
    from tfd2l.predict.images import MAX_BYTES, ImageError, read_image, read_image_file

    if file != "-":
        return read_image_file(file, size)
    try:
        with open(0, "rb", closefd=False) as stdin:
            data = stdin.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"it can't be read: {error.strerror}.") from error
    return read_image(data, size)


def _classify(
    predictor: Predictor, files: Sequence[str], images: Sequence[Prepared | ImageError]
) -> list[LabelledImage | UnreadableImage]:
    """Classify all images that were read, in one call."""
    import numpy as np

    from tfd2l.predict.images import Prepared

    pixels = [image.pixels for image in images if isinstance(image, Prepared)]
    rows: Iterator[tuple[list[str], list[float]]] = iter(())
    if pixels:
        found = predictor.classify(np.stack(pixels))
        rows = zip(found.classes.tolist(), found.scores.tolist(), strict=True)
    return [
        LabelledImage(file, image, *next(rows))
        if isinstance(image, Prepared)
        else UnreadableImage(file, str(image))
        for file, image in zip(files, images, strict=True)
    ]


def _print(
    results: Sequence[LabelledImage | UnreadableImage], flags: argparse.Namespace, model: str
) -> None:
    """Print the answers as text or JSON, then the errors."""
    if flags.json:
        entries = [result.as_json() for result in results]
        print(json.dumps({"model": model, "images": entries}, indent=2))
    else:
        for result in results:
            if isinstance(result, LabelledImage):
                print(result.as_text())
    # Errors come after the answers, also where both outputs go to one file.
    sys.stdout.flush()
    for result in results:
        if isinstance(result, UnreadableImage):
            complain(f"{printable_name(result.file)}: {result.error}")


def _draw(answers: Sequence[LabelledImage], path: Path) -> None:
    from tfd2l.predict.picture import MAX_DRAWN, save_picture

    if len(answers) > MAX_DRAWN:
        print(f"{path} shows the first {MAX_DRAWN} of {len(answers)} images", file=sys.stderr)
    save_picture(answers, path)
