"""The notebooks run in fresh kernels, are committed with outputs, and match the book tests."""

from __future__ import annotations

import ast
import asyncio
import importlib.metadata
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from tests.support import ROOT
from tests.support.warm import WarmProcess

SECTIONS = (
    *("02_01", "02_02", "02_03", "02_04", "02_05", "02_06"),
    *("03_01", "03_02", "03_03", "03_04", "03_05", "03_07"),
    *("04_01", "04_02", "04_03", "04_04", "04_05", "05_01", "05_02", "05_03"),
    *("05_04", "05_06", "05_07", "05_08"),
)
STEMS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("stem", STEMS)

# The longest takes 15 s next to another one on two cores; a busy machine takes a few times that.
NOTEBOOK_TIMEOUT_S = 180
# Larger notebooks are slow to open and to review.
MAX_SIZE_BYTES = 400_000
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(?:root|home|tmp|work|usr|var|opt|mnt|Users|content)\b|\b[A-Z]:\\|site-packages"
)
PICTURE = "image/svg+xml"
DRAWING = {"plot", "show_images", "visualize"}


def read(stem: str) -> Any:
    path = ROOT / "notebooks" / f"{stem}.ipynb"
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds_of_output(cell: Any) -> list[str]:
    """List the cell's outputs: streams by their names, other outputs by their MIME types."""
    kinds: list[str] = []
    for output in cell.outputs:
        kind = output.get("name") or "+".join(sorted(output.get("data", {"error": ""})))
        # A stream arrives in messages that are cut at random places.
        if not (output.output_type == "stream" and kinds[-1:] == [kind]):
            kinds.append(kind)
    return kinds


def test_every_section_has_its_notebook() -> None:
    assert [stem[:5] for stem in STEMS] == list(SECTIONS)


def test_notebooks_and_book_tests_correspond_one_to_one() -> None:
    tests = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))
    assert tests == sorted(["test_notebooks", *(f"test_{stem}" for stem in STEMS)])


@dataclass(frozen=True)
class Run:
    """An executed notebook, the files that it left behind, and the error that stopped it."""

    notebook: Any
    left_files: list[str]
    error: BaseException | None


class WarmKernel(LocalProvisioner):
    """Starts kernels as forks of a process that has imported TensorFlow already."""

    async def launch_kernel(self, cmd: list[str], **settings: Any) -> KernelConnectionInfo:
        """Start a kernel by its command line."""
        # A kernel ends with the process of this number, and here its parent is another one.
        environment = {k: v for k, v in settings["env"].items() if k != "JPY_PARENT_PID"}
        # As a kernel sets it for itself.
        environment["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
        arguments = cmd[cmd.index("-m") :]
        process = WarmProcess(arguments, cwd=settings["cwd"], environment=environment)
        self.pid = self.pgid = process.pid
        self.process = process  # type: ignore[assignment]  # has the methods that are called
        return self.connection_info


@pytest.fixture(scope="module")
def warm_kernels() -> Iterator[None]:
    """Let Jupyter start warm kernels."""
    group = KernelProvisionerFactory.GROUP_NAME
    entry = importlib.metadata.EntryPoint("warm", f"{__name__}:WarmKernel", group)
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
    chosen = [item for item in request.session.items if "runs" in vars(item)["fixturenames"]]
    stems = [vars(item)["callspec"].params["stem"] for item in chosen]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFD2L_MAX_EPOCHS", "1")
        # The repository can't have Kaggle's own files.
        patch.setenv("TFD2L_HOUSE_PRICES", str(house_files))
        # The kernels write files of their own: history, profile, connections.
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        clones = {stem: tmp_path_factory.mktemp(stem) for stem in stems}
        return asyncio.run(execute_all(clones))


async def execute_all(clones: dict[str, Path]) -> dict[str, Run]:
    """Execute notebooks, two at a time: each mostly imports TensorFlow, which uses one core."""
    slots = asyncio.Semaphore(2)

    async def execute_in_slot(stem: str, clone: Path) -> Run:
        async with slots:
            return await execute(stem, clone)

    runs = await asyncio.gather(*(execute_in_slot(*item) for item in clones.items()))
    return dict(zip(clones, runs, strict=True))


async def execute(stem: str, clone: Path) -> Run:
    """Execute a notebook in an empty directory, where any file that it writes shows."""
    folder, notebook, error = clone / "notebooks", read(stem), None
    folder.mkdir()
    # "immediate" kills the kernel: TensorFlow takes a second to tidy up in an orderly shutdown.
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        shutdown_kernel="immediate",
    )
    try:
        await asyncio.wait_for(client.async_execute(), NOTEBOOK_TIMEOUT_S)
    except (CellExecutionError, DeadKernelError, TimeoutError) as caught:
        error = caught
    left_files = sorted(path.name for path in clone.rglob("*") if path != folder)
    return Run(notebook, left_files, error)


@pytest.mark.slow
@each_notebook
def test_it_runs_from_top_to_bottom_in_a_fresh_kernel(stem: str, runs: dict[str, Run]) -> None:
    run = runs[stem]
    if run.error is not None:
        raise run.error
    # The committed outputs are the same, except for numbers and times.
    executed, committed = (
        {cell.id: kinds_of_output(cell) for cell in code_cells(notebook)}
        for notebook in (run.notebook, read(stem))
    )
    assert executed == committed
    assert run.left_files == []


@each_notebook
def test_it_is_committed_as_executed_in_order(stem: str) -> None:
    notebook = read(stem)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)


@each_notebook
def test_no_cell_ends_in_an_error_or_writes_to_stderr(stem: str) -> None:
    kinds = [kind for cell in code_cells(read(stem)) for kind in kinds_of_output(cell)]
    assert not {"error", "stderr"} & {*kinds}


@each_notebook
def test_nothing_in_it_reveals_the_machine_that_ran_it(stem: str) -> None:
    notebook = read(stem)
    # Other metadata, such as Python's version and execution times, would change with every run.
    assert {*notebook.metadata} == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert {*notebook.metadata.language_info} == {"name"}
    assert all({*cell.metadata} <= {"tags"} for cell in notebook.cells)
    shown = json.dumps([cell.outputs for cell in code_cells(notebook)])
    # Pictures embedded in pictures are random letters and slashes.
    shown = re.sub(r"base64,[\w+/=\\]+", "", shown)
    assert MACHINE_PATH.findall(shown) == []


def test_paths_of_a_machine_are_found() -> None:
    paths = ["in /tmp/x", "/root", r"C:\Users", "('/home/me')", "lib/site-packages/keras"]
    assert all(MACHINE_PATH.search(path) for path in paths)
    assert not MACHINE_PATH.search("http://www.w3.org/1999/xlink 3/work a/tmp ../data 1/2")


@each_notebook
def test_it_is_small_enough_to_open(stem: str) -> None:
    assert (ROOT / "notebooks" / f"{stem}.ipynb").stat().st_size < MAX_SIZE_BYTES


@each_notebook
def test_the_first_code_cell_is_the_common_one(stem: str) -> None:
    first = code_cells(read(stem))[0]
    assert first.metadata.get("tags") == ["setup"]
    assert first.source == code_cells(read(STEMS[0]))[0].source
    assert "%pip install" in first.source
    imports = [line.partition("  #")[0] for line in first.source.splitlines()[1:]]
    assert imports == ["import tfd2l as d2l", "import tensorflow as tf"]
    assert first.outputs == []


@each_notebook
def test_a_cell_that_draws_has_its_picture(stem: str) -> None:
    for cell in code_cells(read(stem))[1:]:
        if draws(cell.source):
            assert PICTURE in "".join(kinds_of_output(cell)), cell.source


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


def test_cells_that_draw_are_distinguished_from_cells_that_define_a_drawing() -> None:
    assert draws("for size in sizes:\n    data.visualize(batch)")
    assert draws("d2l.plot(x, y);")
    assert not draws("def step(self):\n    self.plot('loss', 1.0, train=True)")
    assert not draws("try:\n    d2l.plot(x)\nexcept ValueError:\n    pass")


@each_notebook
def test_its_outputs_are_of_a_training_with_all_epochs(stem: str) -> None:
    notebook = read(stem)
    sources = "\n".join(cell.source for cell in code_cells(notebook))
    stated = re.findall(r'"TFD2L_MAX_EPOCHS", "?(\d+)"?\)', sources)
    assert len(stated) == ("TFD2L_MAX_EPOCHS" in sources)
    if stated:
        ends = [end for cell in code_cells(notebook) for end in ends_of_curves(cell)]
        assert float(stated[0]) in ends


def ends_of_curves(cell: Any) -> list[float]:
    """Return the last tick of the epoch axis for each board below the cell."""
    ends = []
    for output in cell.outputs:
        picture = output.get("data", {}).get(PICTURE, "")
        # Matplotlib draws text as outlines and keeps the text itself in a comment.
        axis = picture.partition('id="matplotlib.axis_1"')[2].partition('id="matplotlib.axis_2"')[0]
        words = re.findall(r"<!-- (.*?) -->", axis)
        if "epoch" in words:
            ends.append(max(float(word) for word in words if re.fullmatch(r"[\d.]+", word)))
    return ends
