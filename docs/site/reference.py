"""Writes the pages of the API reference: every public name, in the book's order.

The names are those of `tfd2l/__init__.pyi`. This file needs the standard library only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/api"


class Page(NamedTuple):
    """A page, and the modules, or folders with a dot behind, whose public names it describes."""

    stem: str
    title: str
    about: str
    modules: tuple[str, ...]


PAGES = (
    Page(
        "tensors",
        "Tensors and plots",
        "The book's short names for TensorFlow's functions, and its functions for pictures. "
        "D2L 2.1 to 2.6 and 4.2.",
        ("book.aliases", "book.plotting", "book.pyplot", "book"),
    ),
    Page(
        "training",
        "Training",
        "The design of section 3.2: a model, a data module, and the trainer that fits one to the "
        "other; callbacks; optimizers.",
        (
            "book.trainer",
            "book.hyperparameters",
            "book.module",
            "book.nn_module",
            "book.data",
            "book.board",
            "book.timer",
            "book.optim",
            "engine.callback",
            "book.callbacks.",
        ),
    ),
    Page(
        "data",
        "Data",
        "The book's data sets, your own folders of images and tables, and slow preparation by a "
        "service.",
        (
            "book.data_modules.",
            "book.kaggle_house",
            "book.downloads",
            "data_service.mapping",
        ),
    ),
    Page(
        "functions",
        "Functions",
        "Activations, losses, metrics and penalties. D2L 3.7, 4.1 to 4.4, 5.1, 5.6 and 7.2.",
        ("book.functional",),
    ),
    Page(
        "models",
        "Models",
        "The models of chapters 3 to 8.",
        ("book.models.",),
    ),
    Page("devices", "Devices", "The processor and the GPUs. D2L 6.7.", ("book.devices",)),
    Page(
        "serving",
        "Export and prediction",
        "A trained model becomes a version for TensorFlow Serving, and answers requests.",
        ("export.models", "predict."),
    ),
)


def names() -> dict[str, list[str]]:
    """Return the public names of each module, in the stub's order."""
    stub = ast.parse((ROOT / "tfd2l/__init__.pyi").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found.setdefault(node.module, []).extend(alias.name for alias in node.names)
    return found


def pages() -> dict[str, str]:
    """Return the text of each page, in reStructuredText, by its stem.

    Raises:
        ValueError: a module with public names belongs to no page.
    """
    public = names()
    modules = {
        page: [m for part in page.modules for m in public if _is_in(m, part)] for page in PAGES
    }
    if lost := public.keys() - {module for found in modules.values() for module in found}:
        raise ValueError(f"PAGES must name each module with public names; it lacks {sorted(lost)}.")
    index = "API reference\n=============\n\n``import tfd2l as d2l`` gives all of these names.\n\n"
    texts = {"index": index + ".. toctree::\n   :maxdepth: 2\n\n"}
    for page in PAGES:
        texts["index"] += f"   {page.stem}\n"
        parts = [".. py:currentmodule:: tfd2l", ""]
        parts += [page.title, "=" * len(page.title), "", page.about, ""]
        for module in modules[page]:
            parts += _entries(module, public[module])
        texts[page.stem] = "\n".join(parts) + "\n"
    return texts


def _is_in(module: str, part: str) -> bool:
    return module.startswith(part) if part.endswith(".") else module == part


def _entries(module: str, public: list[str]) -> Iterator[str]:
    """Yield the lines that have autodoc describe the public names of a module."""
    tree = ast.parse(_source(module).read_text(encoding="utf-8"))
    found = {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
    values = {
        node.targets[0].id: ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for name in public:
        if name == "distributions":
            yield f".. py:data:: {name}\n\n   The module with section 2.6's distributions.\n"
            yield f".. automodule:: tfd2l.book.{name}\n"
        elif name == "plt":
            yield f".. py:data:: {name}\n\n   The module ``matplotlib.pyplot``.\n"
        elif name in values:
            yield f".. py:data:: {name}\n   :value: {values[name]}\n"
        elif isinstance(node := found[name], ast.ClassDef):
            yield f".. autoclass:: tfd2l.{name}{_inherited(node)}\n"
        else:
            yield f".. autofunction:: tfd2l.{name}\n"


def _inherited(node: ast.ClassDef) -> str:
    """Return the option that adds the members of the bases, if one of them is not public."""
    public = [name for group in names().values() for name in group]
    if all(not isinstance(base, ast.Name) or base.id in public for base in node.bases):
        return ""
    return f"\n   :inherited-members: {', '.join(['object', *public])}"


def _source(module: str) -> Path:
    path = ROOT / "tfd2l" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def write() -> None:
    """Write the pages into docs/api; those that are as they should be stay untouched."""
    FOLDER.mkdir(exist_ok=True)
    for stem, text in pages().items():
        path = FOLDER / f"{stem}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
