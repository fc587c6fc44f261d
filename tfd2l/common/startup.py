"""Starts tfd2l and TensorFlow: quiet libraries, our own `pipelines`, no needless collection.

Nothing here may import `pipelines`: `check_pipelines` runs before anything else does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

__all__ = ["check_pipelines", "collector_paused", "quiet_libraries", "quiet_tensorflow"]

# NVIDIA's driver on Linux, and on Windows' Linux.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg")


def check_pipelines() -> None:
    """Make sure that `import pipelines` finds the package beside this one. Imports nothing.

    Raises:
        ImportError: a file or directory of that name comes earlier on `sys.path`.
        SystemExit: the same for `python -m tfd2l...` and the script `tfd2l`, after a line of error.
    """
    spec = importlib.util.find_spec("pipelines")
    if spec is None:
        return
    folders = list(spec.submodule_search_locations or ())
    if any(Path(folder, "basics", "errors.py").is_file() for folder in folders):
        return
    text = (
        f"tfd2l imports its own package 'pipelines'; {spec.origin or folders[0]!r} is in the way. "
        "Rename it, or start Python in another directory."
    )
    # "-m" is Python's name for the program while it looks for the module to run.
    if sys.argv and Path(sys.argv[0]).name in ("-m", "tfd2l"):
        print(f"error: {text}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    raise ImportError(text)


def quiet_tensorflow() -> None:
    """Make the first `import tensorflow` of this process quiet, whoever imports it."""
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _TensorFlowFinder)


class _TensorFlowFinder:
    """Finds the package `tensorflow` as Python does, and loads it quietly."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _QuietLoader(name, spec.loader.path)
        return spec


class _QuietLoader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with quiet_libraries():
            super().exec_module(module)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide what TensorFlow's libraries print while they are loaded, unless the block raises.

    They write to the process's standard error before they read their log level. For the time after
    that, the level becomes 3, since a machine without a GPU is no error; on a machine with one it
    becomes 1, which shows warnings and errors. A `TF_CPP_MIN_LOG_LEVEL` of the user's stays as it
    is, and 0 shows everything.
    """
    has_gpu = any(Path(device).exists() for device in _GPU_DEVICES)
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if has_gpu else "3")
    with contextlib.ExitStack() as stack:
        if level != "0":
            # Standard error may be closed, and the disk full: then nothing is hidden.
            with contextlib.suppress(OSError):
                stack.enter_context(_hidden_stderr())
        yield


@contextlib.contextmanager
def _hidden_stderr() -> Iterator[None]:
    """Write the process's standard error to a file, which is shown if the block raises."""
    import tempfile

    with tempfile.TemporaryFile() as hidden:
        terminal = os.dup(2)
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except Exception:
            hidden.seek(0)
            os.write(terminal, hidden.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, and afterwards exempt the objects that exist by then.

    Importing TensorFlow creates about a million objects that stay. The collector would walk them
    again and again meanwhile, and once more when the process exits: a second in all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
