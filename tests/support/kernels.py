"""Runs notebooks in kernels that are forks of a process with TensorFlow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from tests.support.notebooks import code_cells, read
from tests.support.warm import WarmProcess

# The longest takes 15 s next to another one on two cores; a busy machine takes a few times that.
NOTEBOOK_TIMEOUT_S = 180


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


async def execute_all(
    clones: dict[str, Path], parameters: dict[str, Any], *, fresh: bool = False
) -> dict[str, Run]:
    """Execute notebooks in two kernels at a time, on two cores.

    Each kernel executes one notebook after the other and forgets their names in between, which
    saves the start of as many kernels; with `fresh` each notebook has a kernel of its own.
    """
    waiting, runs = [*clones.items()], {}

    async def work() -> None:
        manager = None
        while waiting:
            path, clone = waiting.pop(0)
            manager = manager or AsyncKernelManager(kernel_name="python3")
            runs[path] = await execute(path, clone, parameters, manager)
            if fresh or not waiting or isinstance(runs[path].error, DeadKernelError | TimeoutError):
                # At once: TensorFlow takes a second to tidy up in an orderly shutdown.
                await manager.shutdown_kernel(now=True)
                manager = None

    await asyncio.gather(work(), work())
    return runs


async def execute(
    path: str, clone: Path, parameters: dict[str, Any], manager: AsyncKernelManager
) -> Run:
    """Execute a notebook in an empty directory, where any file that it writes shows."""
    folder, notebook, error = clone / "notebooks", read(path), None
    folder.mkdir()
    for cell in code_cells(notebook):
        # As papermill does: the values given come after those of the cell with this tag.
        if "parameters" in cell.metadata.get("tags", []):
            named = [name for name in parameters if f"{name} = " in cell.source]
            cell.source += "".join(f"\n{name} = {parameters[name]!r}" for name in named)
    clearing = nbformat.v4.new_code_cell(f"%reset -f\n__import__('os').chdir({str(folder)!r})")
    notebook.cells.insert(0, clearing)
    client = NotebookClient(notebook, km=manager, resources={"metadata": {"path": str(folder)}})
    try:
        await asyncio.wait_for(client.async_execute(), NOTEBOOK_TIMEOUT_S)
    except (CellExecutionError, DeadKernelError, TimeoutError) as caught:
        error = caught
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    notebook.cells.remove(clearing)
    left_files = sorted(file.name for file in clone.rglob("*") if file != folder)
    return Run(notebook, left_files, error)
