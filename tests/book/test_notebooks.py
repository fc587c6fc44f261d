"""The notebooks run from top to bottom, are committed with outputs, and match the book tests."""

from __future__ import annotations

import ast
import asyncio
import importlib.metadata
import json
import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from tests.support.kernels import Run, WarmKernel, execute_all
from tests.support.notebooks import (
    FOLDER,
    INDEX,
    PATHS,
    STEMS,
    code_cells,
    draws,
    ends_of_curves,
    kinds_of_output,
    lesson,
    pictures,
    read,
    texts_of,
)

SECTIONS = (
    *("02_01", "02_02", "02_03", "02_04", "02_05", "02_06"),
    *("03_01", "03_02", "03_03", "03_04", "03_05", "03_07"),
    *("04_01", "04_02", "04_03", "04_04", "04_05", "05_01", "05_02", "05_03"),
    *("05_04", "05_06", "05_07", "05_08"),
)
each_notebook = pytest.mark.parametrize("stem", STEMS)
each_path = pytest.mark.parametrize("path", PATHS)

# Larger notebooks are slow to open and to review.
MAX_SIZE_BYTES = 400_000
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:root|home|tmp|work|usr|var|opt|mnt|Users|content)\b|\b[A-Z]:\\|site-packages"
)


def test_every_section_has_its_notebook() -> None:
    assert [stem[:5] for stem in STEMS] == list(SECTIONS)


def test_notebooks_and_book_tests_correspond_one_to_one() -> None:
    tests = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    assert tests == sorted(["test_notebooks", *(f"test_{stem}" for stem in STEMS)])
    solutions = sorted(path.stem for path in (FOLDER / "solutions").glob("*.ipynb"))
    assert solutions == STEMS


@pytest.fixture(scope="module")
def warm_kernels() -> Iterator[None]:
    """Let Jupyter start warm kernels."""
    group = KernelProvisionerFactory.GROUP_NAME
    entry = importlib.metadata.EntryPoint("warm", f"{WarmKernel.__module__}:WarmKernel", group)
    factory = KernelProvisionerFactory.instance()
    factory.provisioners["warm"] = entry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factory, "default_provisioner_name", "warm")
        yield


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    house_files: Path,
    warm_kernels: None,
) -> dict[str, Run]:
    """Execute the notebooks of the selected tests, with one epoch in their trainings."""
    # The repository can't have Kaggle's own files.
    parameters = {"max_epochs": 1, "root": str(house_files)}
    chosen = [item for item in request.session.items if "runs" in vars(item)["fixturenames"]]
    paths = [vars(item)["callspec"].params["path"] for item in chosen]
    fresh = any(item.get_closest_marker("long") for item in chosen)
    with pytest.MonkeyPatch.context() as patch:
        # The kernels write files of their own: history, profile, connections.
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        clones = {path: tmp_path_factory.mktemp("clone") for path in paths}
        return asyncio.run(execute_all(clones, parameters, fresh=fresh))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS[: len(STEMS)])
def test_a_lesson_runs_from_top_to_bottom(path: str, runs: dict[str, Run]) -> None:
    check_run(path, runs[path])


@pytest.mark.long
@each_path
def test_it_runs_in_a_fresh_kernel(path: str, runs: dict[str, Run]) -> None:
    check_run(path, runs[path])


def check_run(path: str, run: Run) -> None:
    if run.error is not None:
        raise run.error
    # The committed outputs are the same, except for numbers and times.
    executed, committed = (
        {cell.id: kinds_of_output(cell) for cell in code_cells(notebook)}
        for notebook in (run.notebook, read(path))
    )
    assert executed == committed
    assert run.left_files == []


def trains(stem: str) -> bool:
    return any("Trainer(" in cell.source for cell in read(f"solutions/{stem}.ipynb").cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stem", [pytest.param(stem, marks=[pytest.mark.long] * trains(stem)) for stem in STEMS]
)
def test_solutions_are_right(stem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute the cells in this process, which is quicker than a kernel for each notebook."""
    names: dict[str, Any] = {}
    for cell in code_cells(read(f"solutions/{stem}.ipynb"))[1:]:
        # AutoGraph reads the source of what it compiles.
        place = f"{stem}, {cell.id}"
        lines = cell.source.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, place, (len(cell.source), None, lines, place))
        exec(compile(cell.source, place, "exec"), names)


@each_path
def test_it_is_committed_as_executed_in_order(path: str) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)


@each_path
def test_no_cell_ends_in_an_error_or_writes_to_stderr(path: str) -> None:
    kinds = [kind for cell in code_cells(read(path)) for kind in kinds_of_output(cell)]
    assert not {"error", "stderr"} & {*kinds}


@each_path
def test_nothing_in_it_reveals_the_machine_that_ran_it(path: str) -> None:
    notebook = read(path)
    # Other metadata, such as Python's version and execution times, would change with every run.
    assert {*notebook.metadata} == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert {*notebook.metadata.language_info} == {"name"}
    assert all({*cell.metadata} <= {"tags"} for cell in notebook.cells)
    shown = json.dumps([cell.outputs for cell in code_cells(notebook)])
    # Images inside pictures are random letters and slashes.
    shown = re.sub(r"base64,[\w+/=\\ %]+", "", shown)
    assert MACHINE_PATH.findall(shown) == []


def test_paths_of_a_machine_are_found() -> None:
    paths = ["in /tmp/x", "/root", r"C:\Users", "('/home/me')", "lib/site-packages/keras"]
    assert all(MACHINE_PATH.search(path) for path in paths)
    assert not MACHINE_PATH.search("http://www.w3.org/1999/xlink 3/work a/tmp ../data 1/2")


@each_path
def test_it_is_small_enough_to_open(path: str) -> None:
    assert (FOLDER / path).stat().st_size < MAX_SIZE_BYTES


@each_path
def test_it_begins_with_its_title_the_installation_and_the_imports(path: str) -> None:
    notebook = read(path)
    title, install, setup = [cell for cell in notebook.cells if cell.id != "badge"][:3]
    assert title.source.startswith("# ")
    assert (install.metadata.tags, setup.metadata.tags) == (["install"], ["setup"])
    assert setup.outputs == []
    imports = [line for line in setup.source.splitlines() if "import " in line]
    # Keras and TensorFlow print when they start, unless this comes before them.
    ours = imports.index(
        "import tfd2l as d2l  # before TensorFlow and Keras, which then start quietly"
    )
    others = [imports.index(line) for line in imports if line.split()[1] in ("keras", "tensorflow")]
    assert ours < min(others, default=len(imports))
    used = {
        node.id
        for cell in code_cells(notebook)[1:]
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name)
    }
    bound = [line.partition("  #")[0].replace(",", "").split() for line in imports]
    names = {words[-1] for words in bound if words[0] == "import" or "as" in words}
    assert names - used <= {"d2l"}
    assert not any("import " in cell.source for cell in code_cells(notebook)[2:])


@each_path
def test_it_has_nothing_for_tools_alone(path: str) -> None:
    source = "\n".join(cell.source for cell in read(path).cells)
    assert not re.findall(r"# noqa|# fmt|# type:|# pylint|os\.environ|%config", source)


@each_path
def test_a_cell_that_draws_has_its_picture(path: str) -> None:
    for cell in code_cells(read(path))[1:]:
        if draws(cell.source):
            assert pictures(cell), cell.source


@each_path
def test_alternative_text_says_what_each_picture_shows(path: str) -> None:
    for cell in code_cells(read(path)):
        types = [kind for output in cell.outputs for kind in output.get("data", {})]
        # Other types of pictures have no place for alternative text.
        assert not [kind for kind in types if kind.startswith("image/")]
        shown = "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
        assert shown.count("<img") == len(pictures(cell))
        for alt, svg in pictures(cell):
            # All texts of the picture but the numbers at its axes.
            words = [text.replace("$", "") for text in texts_of(svg)]
            words = [word for word in words if not re.match(r"[\d.−-]+$|\\mathdefault", word)]
            assert [word for word in words if word not in alt] == []
            assert len(alt.split()) > 3


def test_cells_that_draw_are_distinguished_from_cells_that_define_a_drawing() -> None:
    assert draws("for size in sizes:\n    data.visualize(batch)")
    assert draws("d2l.plot(x, y);")
    assert not draws("def step(self):\n    self.plot('loss', 1.0, train=True)")
    assert not draws("try:\n    d2l.plot(x)\nexcept ValueError:\n    pass")


@each_notebook
def test_its_outputs_are_of_a_training_with_all_epochs(stem: str) -> None:
    cells = code_cells(lesson(stem))
    stated = re.findall(r"^max_epochs = (\d+)$", "\n".join(cell.source for cell in cells), re.M)
    # The name itself, and not a trainer's own number such as max_epochs=1.
    uses = [use for cell in cells for use in re.findall(r"\bmax_epochs\b(?! ?= ?\w)", cell.source)]
    assert len(stated) == bool(uses)
    if stated:
        assert float(stated[0]) in [end for cell in cells for end in ends_of_curves(cell)]


@each_notebook
def test_its_exercises_have_their_solutions(stem: str) -> None:
    [exercises] = [cell.source for cell in lesson(stem).cells if cell.id == "exercises"]
    asked = re.findall(r"^\d\. (.*)$", exercises, re.M)
    assert 3 <= len(asked) <= 5
    assert f"[Solutions](solutions/{stem}.ipynb)" in exercises
    solutions = {cell.id: cell.source for cell in read(f"solutions/{stem}.ipynb").cells}
    assert f"(../{stem}.ipynb)" in solutions["title"]
    for number, exercise in enumerate(asked, start=1):
        assert f"> {exercise}\n" in solutions[f"exercise-{number}"]
        assert "assert " in solutions[f"solution-{number}"]


def test_the_index_lists_all_notebooks_in_the_books_order() -> None:
    cells = nbformat.read(INDEX, as_version=4).cells
    links = re.findall(
        r"^- \[(.*?)\]\((.*?)\.ipynb\): \S", "\n".join(c.source for c in cells), re.M
    )
    titles = [lesson(stem).cells[0].source.splitlines()[0] for stem in STEMS]
    assert links == [
        (title.removeprefix("# "), stem) for title, stem in zip(titles, STEMS, strict=True)
    ]
