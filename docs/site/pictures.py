"""Draws the pictures of docs/architecture.md as SVG, on a ground of their own.

    python docs/site/pictures.py

They follow the colours of the page, or of the system: light or dark. The standard library does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

DOCS = Path(__file__).resolve().parents[1]
WIDTH, MARGIN = 480, 20
HEIGHT, GAP = 56, 40  # of a box, and between two rows
STYLE = """
  .ground { fill: #f6f8fa } .box { fill: #fff; stroke: #57606a } .main { fill: #ddf4ff }
  .line { fill: none; stroke: #57606a; stroke-width: 1.5; marker-end: url(#tip) }
  .tip { fill: #57606a } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-weight: 600; font-size: 15px } .middle { text-anchor: middle }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #161b22 } .box { fill: #21262d; stroke: #8b949e } .main { fill: #0c2d4d }
    .line { stroke: #8b949e } .tip { fill: #8b949e } text { fill: #e6edf3 }
  }
"""


class Box(NamedTuple):
    """A box with a title and a line of text; left and width are shares of the picture's."""

    title: str
    text: str
    row: int
    left: float
    width: float
    main: bool = False

    @property
    def x(self) -> float:
        """The left edge, in pixels."""
        return MARGIN + self.left * (WIDTH - 2 * MARGIN)

    @property
    def y(self) -> float:
        """The upper edge."""
        return MARGIN + self.row * (HEIGHT + GAP)

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width * (WIDTH - 2 * MARGIN)

    def svg(self) -> str:
        """The box as an SVG group."""
        middle = (self.x + self.right) / 2
        shape = "box main" if self.main else "box"
        return (
            f'<rect class="{shape}" x="{self.x:g}" y="{self.y:g}" rx="6" '
            f'width="{self.right - self.x:g}" height="{HEIGHT}"/>\n'
            f'<text class="title middle" x="{middle:g}" y="{self.y + 24:g}">{escape(self.title)}'
            f'</text>\n<text class="middle" x="{middle:g}" y="{self.y + 43:g}">{escape(self.text)}'
            "</text>"
        )


def down(upper: Box, lower: Box, at: float, label: str = "") -> str:
    """An arrow from a box to one below it; `at` is its place in the width, from 0 to 1."""
    x = MARGIN + at * (WIDTH - 2 * MARGIN)
    text = f'<text x="{x + 8:g}" y="{upper.y + HEIGHT + GAP / 2 + 4:g}">{escape(label)}</text>'
    return _line((x, upper.y + HEIGHT), (x, lower.y - 2)) + (text if label else "")


def across(left: Box, right: Box, dy: float, back: bool = False) -> str:
    """An arrow between two boxes of a row, `dy` pixels below their upper edges."""
    ends = (left.right, left.y + dy), (right.x - 2, left.y + dy)
    return _line((right.x, right.y + dy), (left.right + 2, left.y + dy)) if back else _line(*ends)


def _line(*points: tuple[float, float]) -> str:
    return f'<polyline class="line" points="{" ".join(f"{x:g},{y:g}" for x, y in points)}"/>'


def picture(title: str, boxes: list[Box], arrows: list[str]) -> str:
    """Return an SVG document."""
    height = max(box.y for box in boxes) + HEIGHT + MARGIN
    parts = [*(box.svg() for box in boxes), *arrows]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="{WIDTH}" height="{height:g}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>\n'
        f'<rect class="ground" width="{WIDTH}" height="{height:g}" rx="8"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def way_of_the_data() -> str:
    """The way from files through training to answers."""
    files = Box("Files", "IDX, CSV, images", 0, 0, 0.5)
    pipelines = Box("pipelines", "read, check, shuffle, batch", 1, 0, 0.5)
    fit = Box("Trainer.fit", "epochs and callbacks", 2, 0, 0.5, main=True)
    step = Box("compiled step", "loss, gradients, update", 2, 0.58, 0.42, main=True)
    export = Box("export", "with the preparation", 3, 0, 0.5)
    checkpoint = Box("checkpoint", "the whole state of a fit", 3, 0.58, 0.42)
    version = Box("savedmodels/mlp/1", "load-checked", 4, 0, 0.5)
    server = Box("TensorFlow Serving", "or the development server", 5, 0, 0.5)
    client = Box("client", "raw images or rows", 5, 0.58, 0.42)
    boxes = [files, pipelines, fit, step, export, checkpoint, version, server, client]
    arrows = [
        down(files, pipelines, 0.25),
        down(pipelines, fit, 0.25, "tf.data: (n, 28, 28, 1) float32, (n,) int32"),
        across(fit, step, 18),
        across(fit, step, 38, back=True),
        down(fit, export, 0.25),
        _line((fit.right - 20, fit.y + HEIGHT), (checkpoint.x + 30, checkpoint.y - 2)),
        down(export, version, 0.25),
        down(version, server, 0.25),
        across(server, client, 18, back=True),
        across(server, client, 38),
    ]
    return picture("The way of the data, from files to answers", boxes, arrows)


def imports() -> str:
    """The parts of the library, each above those that it imports."""
    train = Box("train", "one run", 0, 0.03, 0.51, main=True)
    serve = Box("serve", "development server", 0, 0.56, 0.44, main=True)
    book = Box("book", "the API", 1, 0.03, 0.22)
    predict = Box("predict", "clients", 1, 0.56, 0.185)
    deploy = Box("deploy", "configuration", 1, 0.76, 0.24)
    engine = Box("engine", "steps", 2, 0.03, 0.17)
    service = Box("data_service", "tf.data", 2, 0.22, 0.27)
    export = Box("export", "versions for TensorFlow Serving", 2, 0.51, 0.49)
    common = Box("common", "errors, files, figures", 3, 0.3, 0.7)
    pipelines = Box("pipelines", "files in, tf.data out", 4, 0.03, 0.45)
    basics = Box("pipelines.basics", "numbers, errors, files", 4, 0.53, 0.47)
    boxes = [
        train,
        serve,
        book,
        predict,
        deploy,
        engine,
        service,
        export,
        common,
        pipelines,
        basics,
    ]
    corner = MARGIN - 6
    arrows = [
        down(train, book, 0.14),
        down(train, export, 0.522),
        down(serve, predict, 0.63),
        down(serve, deploy, 0.92),
        down(serve, export, 0.755),
        down(predict, export, 0.63),
        down(deploy, export, 0.92),
        down(book, engine, 0.14),
        down(engine, pipelines, 0.1),
        _line((book.x, book.y + 28), (corner, book.y + 28), (corner, pipelines.y + 28),
              (pipelines.x - 2, pipelines.y + 28)),
        _line((engine.right - 16, engine.y + HEIGHT), (engine.right - 16, common.y + 28),
              (common.x - 2, common.y + 28)),
        down(service, common, 0.37),
        down(export, common, 0.65),
        down(common, basics, 0.76),
        across(pipelines, basics, 28),
    ]  # fmt: skip
    return picture("Which part imports which", boxes, arrows)


def pictures() -> Iterator[tuple[Path, str]]:
    """Yield each picture's file and content."""
    yield DOCS / "way_of_the_data.svg", way_of_the_data()
    yield DOCS / "imports.svg", imports()


if __name__ == "__main__":
    for path, text in pictures():
        path.write_text(text, encoding="utf-8")
