"""`python -m tfd2l.predict IMAGE... --url URL | --model DIR`: what is on image files.

Asks a served or an exported model. With a server TensorFlow is not imported. Flags are read before
anything slow is.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfd2l.predict.images import Prepared
    from tfd2l.predict.predictor import Predictor

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
URL, MODEL, TIMEOUT_S = "http://127.0.0.1:8501", "mlp", 10.0
# Where the model takes images of any size.
SIZE = (28, 28)
SHOWN = 3
PICTURE_FORMATS = (".png", ".svg", ".pdf", ".jpg")
# A page that can still be looked at; the answers are printed for all.
DRAWN, ACROSS, BARS, NAME_LENGTH = 48, 3, 10, 24


@dataclass(frozen=True)
class Answer:
    """An image that was read, and what the model says of it: all classes, the likeliest first."""

    file: str
    image: Prepared
    classes: list[str]
    scores: list[float]

    @property
    def headline(self) -> str:
        """Label and probability."""
        return f"{self.classes[0]} {self.scores[0]:.3f}"

    def as_text(self) -> str:
        """Three lines to read."""
        pairs = list(zip(self.classes, self.scores, strict=True))[1:SHOWN]
        others = ", ".join(f"{label} {score:.3f}" for label, score in pairs) or "nothing else"
        done = "; ".join(self.image.notes) or "taken as it is"
        return f"{_shown(self.file)}: {self.headline}\n  then   {others}\n  image  {done}"

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "file": self.file,
            "label": self.classes[0],
            "probability": self.scores[0],
            "classes": self.classes,
            "scores": self.scores,
            "notes": [*self.image.notes],
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Its exit status: 0; 2 for a wrong flag, no model, or a file that couldn't be read, though
        the others were answered; 130 after Ctrl-C.
    """
    flags = _parse(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and file names may have letters that the terminal has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(flags)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (OSError, ValueError) as error:
        return _complain(error)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"error: {message} (--help lists the flags)\n")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m tfd2l.predict",
        usage="%(prog)s IMAGE... [--url URL [--model NAME] | --model DIR] [more flags]",
        description="Say what is on images, by a model that a server has, or by an exported one: "
        "--model with a / in it, or that is a directory here, needs no server.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG or GIF file; - is standard input")
    add("--url", help=f"address of TensorFlow Serving's REST interface; by default {URL}")
    add(
        "--model",
        metavar="NAME|DIR",
        help=f"its name in the server, by default {MODEL}; or without --url its directory, or that "
        "of a version: savedmodels/mlp[/1]",
    )
    add("--model-version", type=int, metavar="N", help="by default the newest")
    add("--timeout-s", type=float, metavar="S", help=f"seconds to wait; by default {TIMEOUT_S:g}")
    add("--dir", type=Path, help="as --model DIR, and never a name")
    add("--picture", type=Path, metavar="FILE", help="draw images and probabilities to this file")
    add("--json", action="store_true", help="print JSON")
    flags = parser.parse_args(argv)
    _check_model(parser, flags)
    _check_picture(parser, flags.picture)
    return flags


def _check_model(parser: _Parser, flags: argparse.Namespace) -> None:
    """Tell a directory from a name; end with an error if the flags don't go together."""
    if flags.url is not None and "/" in (flags.model or ""):
        parser.error(
            f"--model with --url is a name in the server, without /; got {flags.model!r}. Give the "
            "name, or drop --url to ask the model in that directory"
        )
    if flags.model and flags.url is None and flags.dir is None:
        path = Path(flags.model)
        if "/" in flags.model or path.is_dir():
            flags.dir, flags.model = path, None
    for name in ("url", "model", "model_version", "timeout_s"):
        if flags.dir is not None and getattr(flags, name) is not None:
            parser.error(
                f"--{name.replace('_', '-')} is for a server; drop it or the directory "
                f"{str(flags.dir)!r}"
            )


def _check_picture(parser: _Parser, path: Path | None) -> None:
    """End with an error if the picture can't be written there, before anything is asked."""
    if path is None:
        return
    if path.suffix.lower() not in PICTURE_FORMATS:
        parser.error(
            f"--picture must end with one of {', '.join(PICTURE_FORMATS)}; got {str(path)!r}"
        )
    if not path.parent.is_dir() or path.is_dir():
        parser.error(
            f"--picture must be a file in a directory that is there; got {str(path)!r}. Make the "
            "directory, or name another file"
        )


def _run(flags: argparse.Namespace) -> int:
    """Answer for all images; gives the exit status."""
    predictor = _predictor(flags)
    height, width = predictor.image_shape()
    size = (height or SIZE[0], width or SIZE[1])
    found = [(file, _read(file, size)) for file in flags.images]
    answers = _ask(predictor, [(file, one) for file, one in found if not isinstance(one, str)])
    bad = {index: one for index, (_, one) in enumerate(found) if isinstance(one, str)}
    if flags.json:
        left = iter(answers)
        entries = [
            {"file": file, "error": bad[index]} if index in bad else next(left).as_json()
            for index, (file, _) in enumerate(found)
        ]
        print(json.dumps({"model": str(predictor), "images": entries}, indent=2))
    else:
        for answer in answers:
            print(answer.as_text())
    # What goes wrong from here on comes after the answers, also where both go to one file.
    sys.stdout.flush()
    for index, error in bad.items():
        _complain(f"{_shown(flags.images[index])}: {error}")
    if flags.picture is not None and answers:
        _draw(answers, flags.picture)
    return EXIT_USAGE if bad else 0


def _predictor(flags: argparse.Namespace) -> Predictor:
    """Whom to ask, found to be there."""
    from tfd2l.predict.rest_client import Client, LocalModel, ServingError

    if flags.dir is None:
        return Client(
            URL if flags.url is None else flags.url,
            MODEL if flags.model is None else flags.model,
            flags.model_version,
            timeout_s=TIMEOUT_S if flags.timeout_s is None else flags.timeout_s,
        )
    from tfd2l.common.startup import quiet_start

    model, problem = LocalModel(flags.dir), None
    with quiet_start():
        try:
            model.image_shape()
        except ServingError as error:
            # It says enough without what TensorFlow said before.
            problem = error
    if problem is not None:
        raise problem
    return model


def _read(file: str, size: tuple[int, int]) -> Prepared | str:
    """The image, or why there is none."""
    from tfd2l.predict.images import MAX_BYTES, ImageError, read_image, read_image_file

    try:
        if file != "-":
            return read_image_file(file, size)
        with open(0, "rb", closefd=False) as stdin:
            return read_image(stdin.read(MAX_BYTES + 1), size)
    except (ImageError, OSError) as error:
        return str(error)


def _ask(predictor: Predictor, images: Sequence[tuple[str, Prepared]]) -> list[Answer]:
    import numpy as np

    if not images:
        return []
    result = predictor.classify(np.stack([image.pixels for _, image in images]))
    rows = zip(images, result.classes.tolist(), result.scores.tolist(), strict=True)
    return [Answer(file, image, classes, scores) for (file, image), classes, scores in rows]


def _draw(answers: Sequence[Answer], path: Path) -> None:
    """Write the picture: each image as the model saw it, and its likeliest classes as bars."""
    from tfd2l.common.figures import save_figure

    if len(answers) > DRAWN:
        print(f"{path} shows the first {DRAWN} of {len(answers)} images", file=sys.stderr)
    with warnings.catch_warnings():
        # A letter that the font has not is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        try:
            save_figure(prediction_figure(answers[:DRAWN]), path)
        except OSError as error:
            raise ValueError(
                f"--picture must be a file that can be written; {str(path)!r}: {error.strerror}. "
                "Name another one."
            ) from error


def prediction_figure(answers: Sequence[Answer]) -> Figure:
    """Images and the probabilities of their likeliest classes, three to a row of the page.

    Args:
        answers: at least one.
    """
    from tfd2l.common.figures import new_figure

    across = min(ACROSS, len(answers))
    down = -(-len(answers) // across)
    figure = new_figure((4.6 * across, 2.2 * down))
    grid = figure.subplots(down, 2 * across, squeeze=False, width_ratios=[1, 1.2] * across)
    places = grid.reshape(-1, 2)
    for image, bars in places[len(answers) :]:
        image.set_axis_off()
        bars.set_axis_off()
    for answer, (image, bars) in zip(answers, places, strict=False):
        image.imshow(answer.image.pixels, cmap="gray", vmin=0, vmax=255)
        image.set_axis_off()
        name = _shown(Path(answer.file).name)
        name = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 3]}..."
        # Dollar signs in names are no formulas.
        image.set_title(name, fontsize="small", parse_math=False)
        scores = answer.scores[:BARS]
        bars.barh(range(len(scores)), scores)
        labels = answer.classes[:BARS]
        bars.set_yticks(range(len(scores)), labels, fontsize="x-small", parse_math=False)
        bars.invert_yaxis()
        bars.set_xlim(0, 1)
        bars.tick_params("x", labelsize="x-small")
        bars.set_title(answer.headline, fontsize="small", parse_math=False)
    return figure


def _shown(name: str) -> str:
    """A file's name in one line, whatever it has in it."""
    return name if name.isprintable() else repr(name)


def _complain(error: Exception | str) -> int:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_USAGE
