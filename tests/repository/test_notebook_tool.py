"""The tool that writes the cells which all notebooks share, and runs them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support import ROOT, ci_module

FOLDER = ROOT / "notebooks"


tool = ci_module("notebooks")
PATHS = sorted([*FOLDER.glob("*.ipynb"), *(FOLDER / "solutions").glob("*.ipynb")])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_the_shared_cells_of_every_notebook_are_up_to_date(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    before = [(cell.id, cell.source) for cell in notebook.cells]
    tool.update(notebook, tool.shared_cells(path, FOLDER, tool.Project.read()))
    assert [(cell.id, cell.source) for cell in notebook.cells] == before


def test_every_link_between_notebooks_leads_somewhere() -> None:
    for path in PATHS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for part in cell.source.split("](")[1:]:
                    target = part.partition(")")[0]
                    assert target.startswith("http") or (path.parent / target).exists(), target


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Three notebooks and solutions of one of them, in a folder of their own."""
    names = ["02_06_probability", "03_01_linear_regression", "05_08_your_own_data"]
    for name in ["00_index", *names, f"solutions/{names[1]}"]:
        target = tmp_path / f"{name}.ipynb"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(FOLDER / f"{name}.ipynb", target)
    return tmp_path


def cells(copy: Path, name: str, project: Any) -> dict[str, str]:
    """Update the notebook by the tool, and return the sources of its cells by their ids."""
    path = copy / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    # The second time finds everything in place.
    for _ in range(2):
        tool.update(notebook, tool.shared_cells(path, copy, project))
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    return {cell.id: cell.source for cell in notebook.cells}


def test_a_repository_gives_notebooks_a_badge_and_an_installation(
    copy: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "pyproject.toml"
    settings.write_text(
        '[project]\n[project.urls]\nRepository = "https://github.com/someone/somewhere"\n'
        '[tool.tfd2l]\ninstall-source = "tfd2l==1.2"\n'
    )
    project = tool.Project.read(settings)
    lesson = cells(copy, "03_01_linear_regression", project)
    address = "https://colab.research.google.com/github/someone/somewhere/blob/main/notebooks"
    assert f"]({address}/03_01_linear_regression.ipynb)" in lesson["badge"]
    assert next(iter(lesson)) == "badge"
    assert lesson["install"].endswith("%pip install -q tfd2l==1.2")
    solutions = cells(copy, "solutions/03_01_linear_regression", project)
    assert f"]({address}/solutions/03_01_linear_regression.ipynb)" in solutions["badge"]
    assert solutions["install"] == lesson["install"]
    assert "links" not in solutions
    # A repository elsewhere can't be opened by Colab, and an index needs no package.
    elsewhere = tool.Project("tfd2l", "https://gitlab.com/someone/somewhere")
    assert "badge" not in cells(copy, "03_01_linear_regression", elsewhere)
    assert {"install", "links"} & {*cells(copy, "00_index", project)} == set()


def test_links_lead_to_the_neighbours_and_to_the_book(copy: Path) -> None:
    project = tool.Project("tfd2l", None)
    first, middle, last = (
        cells(copy, name, project)["links"]
        for name in ("02_06_probability", "03_01_linear_regression", "05_08_your_own_data")
    )
    assert "[← 2.6 Probability and statistics](02_06_probability.ipynb) · [All notebooks]" in middle
    assert "[5.8 Your own data →](05_08_your_own_data.ipynb)" in middle
    assert "(https://d2l.ai/chapter_linear-regression/linear-regression.html)" in middle
    assert "←" not in first
    assert "→" not in last
    # The book has no section 5.8.
    assert "d2l.ai" not in last


def test_the_installation_does_nothing_where_the_package_is(copy: Path) -> None:
    source = cells(copy, "03_01_linear_regression", tool.Project("tfd2l", None))["install"]
    ran: list[str] = []
    python = source.replace("%pip install -q tfd2l", "ran.append('pip')")
    exec(python, {"ran": ran})
    assert not ran
    exec(python.replace('"tfd2l"', '"no_such_package"'), {"ran": ran})
    assert ran == ["pip"]


def test_printed_text_is_joined_unless_something_else_is_between() -> None:
    def text(words: str, name: str = "stdout") -> Any:
        return nbformat.v4.new_output("stream", name=name, text=words)

    shown = nbformat.v4.new_output("display_data", data={"text/plain": "a picture"})
    found = tool.merged(
        [text("a"), text("b"), shown, text("c"), text("d", "stderr"), text("e", "stderr")]
    )
    assert [output.get("text") for output in found] == ["ab", None, "c", "de"]
