"""Reads notebooks: their cells, outputs and pictures."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import nbformat

from tests.support import ROOT

FOLDER = ROOT / "notebooks"
INDEX = FOLDER / "00_index.ipynb"
STEMS = sorted(path.stem for path in FOLDER.glob("*.ipynb") if path != INDEX)
# A lesson's solutions have its name.
PATHS = [f"{stem}.ipynb" for stem in STEMS] + [f"solutions/{stem}.ipynb" for stem in STEMS]
IMAGE = re.compile(r'<img alt="([^"]*)" src="data:image/svg\+xml,([^"]*)">')
DRAWING = {"plot", "show_images", "visualize"}


def read(path: str) -> Any:
    return nbformat.read(FOLDER / path, as_version=4)


def lesson(stem: str) -> Any:
    return read(f"{stem}.ipynb")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(cell: Any) -> list[tuple[str, str]]:
    """Return the alternative text and the SVG of each picture below the cell."""
    shown = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
    return [(html.unescape(alt), unquote(source)) for alt, source in IMAGE.findall("".join(shown))]


def texts_of(svg: str) -> list[str]:
    """Return the texts of a picture; Matplotlib draws outlines and keeps the text in comments."""
    return [html.unescape(text) for text in re.findall(r"<!-- (.*?) -->", svg)]


def kinds_of_output(cell: Any) -> list[str]:
    """List the cell's outputs: streams by their names, other outputs by their MIME types."""
    kinds: list[str] = []
    for output in cell.outputs:
        kind = output.get("name") or "+".join(sorted(output.get("data", {"error": ""})))
        # A stream arrives in messages that are cut at random places.
        if not (output.output_type == "stream" and kinds[-1:] == [kind]):
            kinds.append(kind)
    return kinds


def draws(source: str) -> bool:
    """Return True if running the cell draws, outside of functions that it defines and of `try`."""

    def calls(node: ast.AST) -> Iterator[ast.Call]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.Try):
                yield from calls(child)
                if isinstance(child, ast.Call):
                    yield child

    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return any(
        isinstance(call.func, ast.Attribute) and call.func.attr in DRAWING
        for call in calls(ast.parse("\n".join(lines)))
    )


def ends_of_curves(cell: Any) -> list[float]:
    """Return the last tick of the epoch axis for each board below the cell."""
    ends = []
    for _, picture in pictures(cell):
        axis = picture.partition('id="matplotlib.axis_1"')[2].partition('id="matplotlib.axis_2"')[0]
        words = texts_of(axis)
        if "epoch" in words:
            ends.append(max(float(word) for word in words if re.fullmatch(r"[\d.]+", word)))
    return ends
