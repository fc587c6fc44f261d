"""Writes the cells that all notebooks share, runs the notebooks, and saves them with outputs.

    python .ci/notebooks.py               # all of them
    python .ci/notebooks.py 02_01 03_02   # those whose paths contain one of the words
    python .ci/notebooks.py --no-run      # the shared cells only

The shared cells are the badge that opens a notebook in Colab, the installation, and the links to
the neighbours and to the book. pyproject.toml has what they depend on: where to install from
(tool.tfd2l.install-source) and where the repository is (project.urls.Repository); without the
second there is no badge.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
INDEX = "00_index"
TIMEOUT_S = 600
BOOK = "https://d2l.ai/"
# Addresses of the book's sections; 5.8 is ours alone.
SECTIONS = {
    "02": ("chapter_preliminaries/", {"01": "ndarray", "02": "pandas", "03": "linear-algebra",
           "04": "calculus", "05": "autograd", "06": "probability"}),
    "03": ("chapter_linear-regression/", {"01": "linear-regression", "02": "oo-design",
           "03": "synthetic-regression-data", "04": "linear-regression-scratch",
           "05": "linear-regression-concise", "07": "weight-decay"}),
    "04": ("chapter_linear-classification/", {"01": "softmax-regression",
           "02": "image-classification-dataset", "03": "classification",
           "04": "softmax-regression-scratch", "05": "softmax-regression-concise"}),
    "05": ("chapter_multilayer-perceptrons/", {"01": "mlp", "02": "mlp-implementation",
           "03": "backprop", "04": "numerical-stability-and-init", "06": "dropout",
           "07": "kaggle-house-price"}),
}  # fmt: skip


@dataclass(frozen=True)
class Project:
    """The settings of pyproject.toml that notebooks depend on."""

    install_source: str
    repository: str | None

    @classmethod
    def read(cls, path: Path = ROOT / "pyproject.toml") -> Project:
        """Read them from the file."""
        settings = tomllib.loads(path.read_text())
        repository = settings["project"].get("urls", {}).get("Repository")
        return cls(settings["tool"]["tfd2l"]["install-source"], repository)


def lessons(folder: Path = ROOT / "notebooks") -> list[Path]:
    """List the notebooks of the sections, in the book's order."""
    return sorted(path for path in folder.glob("*.ipynb") if path.stem != INDEX)


def shared_cells(path: Path, folder: Path, project: Project) -> dict[str, str]:
    """Return the sources of the shared cells by their ids; "" leaves a cell out."""
    return {
        "badge": _badge(path.relative_to(folder), project.repository),
        "install": "" if path.stem == INDEX else _installation(project.install_source),
        "links": _links(path, folder),
    }


def update(notebook: Any, sources: dict[str, str]) -> None:
    """Put the shared cells into their places, in place of those that are there."""
    old = {cell.id: cell for cell in notebook.cells}
    rest = [cell for cell in notebook.cells if cell.id not in sources]
    title, lesson = rest[0], rest[1:]
    make = nbformat.v4
    badge = [make.new_markdown_cell(sources["badge"], id="badge")] if sources["badge"] else []
    install = []
    if sources["install"]:
        install = [make.new_code_cell(sources["install"], id="install")]
        install[0].metadata.tags = ["install"]
        install[0].execution_count = old.get("install", {}).get("execution_count")
    links = [make.new_markdown_cell(sources["links"], id="links")] if sources["links"] else []
    notebook.cells = [*badge, title, *install, *lesson, *links]


def run(notebook: Any, folder: Path) -> None:
    """Run the notebook in a fresh kernel, and remove what would differ from run to run."""
    resources = {"metadata": {"path": str(folder)}}
    settings: dict[str, Any] = {"timeout": TIMEOUT_S, "record_timing": False}
    NotebookClient(notebook, resources=resources, **settings).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def merged(outputs: list[Any]) -> list[Any]:
    """Join printed text that arrived in several messages."""
    whole: list[Any] = []
    for output in outputs:
        if whole and output.output_type == "stream" and output.name == whole[-1].get("name"):
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def title_of(path: Path) -> str:
    """Return the heading of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    heading = next(cell.source for cell in cells if cell.source.startswith("# "))
    return str(heading).splitlines()[0].removeprefix("# ")


def _badge(path: Path, repository: str | None) -> str:
    """Return the badge that opens the notebook in Colab, which takes notebooks from GitHub."""
    if repository is None or not repository.startswith("https://github.com/"):
        return ""
    place = repository.removeprefix("https://").rstrip("/").replace("github.com", "github", 1)
    picture = "https://colab.research.google.com/assets/colab-badge.svg"
    address = f"https://colab.research.google.com/{place}/blob/main/notebooks/{path.as_posix()}"
    return f"[![Open in Colab]({picture})]({address})"


def _installation(source: str) -> str:
    return (
        "import importlib.util\n\n"
        'if importlib.util.find_spec("tfd2l") is None:  # in Colab, for example\n'
        f"    %pip install -q {source}"
    )


def _links(path: Path, folder: Path) -> str:
    """Return links to the notebooks before and after, to the index and to the book."""
    if path.parent != folder or path.stem == INDEX:
        return ""
    paths = lessons(folder)
    place = paths.index(path)
    links = [f"[All notebooks]({INDEX}.ipynb)"]
    if place > 0:
        before = paths[place - 1]
        links.insert(0, f"[← {title_of(before)}]({before.name})")
    if place + 1 < len(paths):
        after = paths[place + 1]
        links.append(f"[{title_of(after)} →]({after.name})")
    chapter, names = SECTIONS[path.stem[:2]]
    name = names.get(path.stem[3:5])
    book = f"\n\nThe book's section: [d2l.ai]({BOOK}{chapter}{name}.html)" if name else ""
    return "---\n\n" + " · ".join(links) + book


def main() -> None:
    """Update and run the notebooks that the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="parts of paths; all notebooks without them")
    parser.add_argument("--no-run", action="store_true", help="write the shared cells only")
    arguments = parser.parse_args()
    folder, project = ROOT / "notebooks", Project.read()
    for path in sorted([*folder.glob("*.ipynb"), *(folder / "solutions").glob("*.ipynb")]):
        if arguments.words and not any(
            word in path.relative_to(ROOT).as_posix() for word in arguments.words
        ):
            continue
        notebook = nbformat.read(path, as_version=4)
        update(notebook, shared_cells(path, folder, project))
        if not arguments.no_run:
            print(path.relative_to(ROOT), flush=True)
            run(notebook, folder)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
