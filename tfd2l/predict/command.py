"""`python -m tfd2l.predict FILE... --url URL | --model DIR`: answers for images, or for a CSV file.

A served or an exported model answers. With a server TensorFlow is not imported. Flags are checked
before anything slow happens.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfd2l.common.commands import (
    CommandParser,
    UsageError,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.export.versions import MAX_VERSION

if TYPE_CHECKING:
    from tfd2l.predict.forms import ImageForm, RowForm
    from tfd2l.predict.predictor import Predictor

__all__ = ["main"]

PICTURE_FORMATS = (".png", ".svg", ".pdf", ".jpg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Its exit status: 0; 2 for a wrong flag, no model, or a file that can't be read, though the
        others were answered; 130 after Ctrl-C.
    """
    return run_command(lambda: _predict(argv))


def _predict(argv: Sequence[str] | None) -> int:
    """Read the flags, find the model, and answer the files that it takes."""
    flags = _parse(argv)
    predictor = _open_predictor(flags)
    form = predictor.form()
    _check_flags_for(form, flags, predictor)

    from tfd2l.predict.forms import ImageForm

    if isinstance(form, ImageForm):
        from tfd2l.predict.image_files import answer_images

        framing = None if flags.framing == "auto" else flags.framing
        return answer_images(
            flags.files, predictor, form, framing, as_json=flags.json, picture=flags.picture
        )
    from tfd2l.predict.table_file import answer_table

    [file] = flags.files
    return answer_table(file, predictor, form, flags.output)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    flags = _parser().parse_args(argv)
    _settle_model(flags)
    path = flags.picture
    if path and not (path.suffix.lower() in PICTURE_FORMATS and path.parent.is_dir()):
        raise UsageError(
            "--picture must be in an existing directory and end with one of "
            f"{', '.join(PICTURE_FORMATS)}; got {str(path)!r}."
        )
    if path and path.exists() and any(_is_file(path, file) for file in flags.files):
        raise UsageError(f"--picture must not overwrite an image; got {str(path)!r} for both.")
    path = flags.output
    if path and not (path.parent.is_dir() and (path.is_file() or not path.exists())):
        raise UsageError(
            f"--output must be a new or regular file in an existing directory; got {str(path)!r}."
        )
    if path and path.exists() and any(_is_file(path, file) for file in flags.files):
        raise UsageError(f"--output must not overwrite the rows; got {str(path)!r} for both.")
    return flags


def _is_file(path: Path, file: str) -> bool:
    return Path(file).exists() and path.samefile(file)


def _check_flags_for(
    form: ImageForm | RowForm, flags: argparse.Namespace, predictor: Predictor
) -> None:
    """Refuse flags, and more files, that the model's kind of examples does not take."""
    from tfd2l.predict.forms import ImageForm

    if isinstance(form, ImageForm):
        if flags.output is not None:
            raise UsageError(f"--output is for a table, but {predictor} takes images: use --json.")
        return
    if not form.is_table:
        raise UsageError(
            f"{predictor} takes numbers without names, which no file has: "
            "d2l.LocalModel(directory).predict({'features': X}) answers."
        )
    others = {"--picture": flags.picture, "--json": flags.json, "--framing": flags.framing}
    if wrong := [name for name, value in others.items() if value not in (None, False, "auto")]:
        raise UsageError(f"{wrong[0]} is for images, but {predictor} takes rows of a table.")
    if len(flags.files) != 1:
        raise UsageError(
            f"{predictor} takes rows of a table, so one CSV file; got {len(flags.files)} files."
        )


def _parser() -> CommandParser:
    parser = CommandParser(
        "predict",
        "FILE... [--url URL [--model NAME] | --model DIR] [flags]",
        "Classify image files, or predict for the rows of a CSV file, with a model that a server "
        "has, or with an exported one: --model with a / in it, or that is a directory here, needs "
        "no server.",
        [
            "boot.png --model savedmodels/mlp",
            "boot.png shirt.jpg --picture answers.png",
            "boot.png --url http://127.0.0.1:8501 --model mlp --json",
            "houses_new.csv --model savedmodels/houses --output answers.csv",
        ],
    )
    add = parser.add_argument
    add(
        "files",
        nargs="+",
        metavar="FILE",
        help="PNG, JPEG, GIF, BMP or WebP files, or one CSV file; - is standard input",
    )
    add(
        "--framing",
        choices=("auto", "garment", "none"),
        default="auto",
        help="the change to an image: garment crops, inverts and centres it as Fashion-MNIST does, "
        "none resizes it alone, auto does what the model's card says",
    )
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
    add("--json", action="store_true", help="print JSON, for images")
    add("--output", type=Path, metavar="FILE", help="write a table's answers to this CSV file")
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
