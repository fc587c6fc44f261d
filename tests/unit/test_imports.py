"""Which file may import which, what the package offers, and that importing it does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfd2l
from tfd2l import aliases

ROOT = Path(__file__).parents[2]
CORE = {"functional", "hyperparameters"}
MODELS = {"functional", "module", "optim"}
# Within the package; a file that is not named may import nothing of it. Only those marked with
# "pipelines" may import that, but for its `bounds` and `graph_code`, which are everybody's.
ALLOWED = {
    "config": {"errors"},
    "functional": set(),
    "hyperparameters": set(),
    "devices": set(),
    "files": set(),
    "checksums": {"errors", "files"},
    "interrupt": {"callback"},
    "record": {"errors", "files"},
    "history": set(),
    "loaders": set(),
    "load_check": set(),
    "quiet": set(),
    "saved_model": set(),
    "warmup": {"saved_model"},
    "errors": set(),
    "export": {"errors", "saved_model"},
    "verify": {"checksums", "load_check", "saved_model", "warmup"},
    "checks": {"export", "saved_model", "verify"},
    "publish": {"checksums", "saved_model", "verify", "warmup"},
    "optim": {"hyperparameters"},
    "aliases": set(),
    "timing": set(),
    "distributions": set(),
    "downloads": set(),
    "plotting": set(),
    "pyplot": {"plotting"},
    "board": {"hyperparameters", "plotting"},
    "summary": set(),
    "weights": {"errors", "files"},
    "nn": {"summary", "weights"},
    "module": CORE | {"board", "nn", "optim"},
    "models.linear": MODELS,
    "models.softmax": MODELS,
    "models.mlp": MODELS,
    "callback": set(),
    "xla": set(),
    "reader_code": set(),
    "python_slots": {"hyperparameters", "reader_code"},
    "python_state": {"python_slots", "reader_code"},
    "lost_state": set(),
    "step": {"errors", "loaders", "lost_state", "python_state"},
    "loops": {"loaders", "step", "xla"},
    "fit_state": {"checkpoint", "history", "loaders", "step"},
    "trainer": {"callback", "checkpoint", "devices", "fit_state", "history", "hyperparameters",
                "loaders", "loops", "module", "nn", "optim", "python_state", "recorder", "step"},
    "data": CORE | {"pipelines", "plotting"},
    "house_prices": {"data", "downloads", "pipelines"},
    "checkpoint": {"errors", "nn", "weights"},
    "output": set(),
    "progress": {"callback", "output", "step", "trainer"},
    "events": {"history"},
    "run": {"callback", "checkpoint", "events", "files", "history", "record", "step", "trainer"},
    "resume": {"callback", "checkpoint", "checksums", "run", "trainer", "weights"},
    "conclude": {"checks", "checksums", "config", "data", "export", "history", "models.linear",
                 "module", "nn", "pipelines", "publish", "report", "run", "trainer", "verify"},
    "report": {"plotting", "trainer"},
    "grpc_client": {"predictions", "predictor"},
    "http_connections": set(),
    "http_server": {"http_connections"},
    "image_files": {"framing"},
    "json_values": set(),
    "loaded_version": {"checksums", "json_values", "load_check", "saved_model", "warmup"},
    "local_model": {"json_values", "load_check", "loaded_version", "predictions", "predictor",
                    "saved_model"},
    "model_directories": set(),
    "model_server": {"deployment.models_config"},
    "page_api": {"image_files", "json_values", "loaded_version", "pipelines", "served_models"},
    "predict": {"image_files", "plotting", "quiet", "serving"},
    "predictions": set(),
    "predictor": {"predictions"},
    "rest": {"predictions"},
    "rest_answers": {"json_values"},
    "rest_api": {"json_values", "loaded_version", "rest_answers", "rest_examples", "rest_json",
                 "served_models"},
    "rest_examples": {"json_values"},
    "rest_json": {"json_values"},
    "serve": {"deployment.models_config", "deployment.served", "http_server", "load_check",
              "model_directories", "model_server", "page_api", "quiet", "served_models",
              "stand_in"},
    "served_models": {"deployment.models_config", "deployment.served", "json_values",
                      "load_check", "loaded_version", "model_directories", "saved_model"},
    "serving": {"local_model", "predictions", "predictor", "rest"},
    "stand_in": {"json_values", "page_api", "rest_api", "served_models"},
    "deployment.served": set(),
    "deployment.models_config": {"deployment.served"},
    "deployment.texts": {"deployment.served"},
    "deployment.files": {"deployment.served"},
    "deploy": {"deployment.files", "deployment.served", "deployment.texts"},
    "framing": set(),
    "collector": set(),
    "recorder": {"errors", "history", "step"},
}  # fmt: skip
PIPELINES = {
    "bounds": set(),
    "graph_code": set(),
    "batching": {"bounds", "graph_code"},
    "csv_files": set(),
    "tables": {"batching", "csv_files"},
    "house_prices": {"bounds", "csv_files", "tables"},
    "house_tiny": {"csv_files", "tables"},
    "debian": {"processes"},
    "fashion_mnist": {"batching", "debian", "idx", "idx_files", "images", "tfds"},
    "idx": set(),
    "idx_files": {"idx"},
    "images": {"bounds", "graph_code"},
    "processes": set(),
    "synthetic": {"bounds"},
    "tfds": {"idx", "idx_files", "processes"},
}  # fmt: skip


# The book's short names, which stand for things of TensorFlow and pyplot, and its address of data.
OWN = {"numpy", "reshape", "size"}
TENSORFLOWS_OWN = {name for name in vars(aliases) if name in tfd2l.__all__} - OWN
TENSORFLOWS_OWN |= {"DATA_URL", "plt"}


def files(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT / package).with_suffix("").parts), path


def imported(path: Path) -> set[str]:
    """Full names of the project's modules that a file imports when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            module = node.module or ""
            package = (ROOT / module.replace(".", "/")).is_dir()
            names |= {f"{module}.{a.name}" for a in node.names} if package else {module}
    return {name for name in names if name.split(".")[0] in ("tfd2l", "pipelines")}


def test_the_library_imports_in_the_permitted_direction_only() -> None:
    for name, path in files("tfd2l"):
        if name == "train":
            continue
        assert name in ALLOWED, f"tfd2l/{name} has no line in the table"
        used = {
            "pipelines" if module.startswith("pipelines") else module.removeprefix("tfd2l.")
            for module in imported(path) - {"pipelines.bounds", "pipelines.graph_code"}
        }
        assert used <= ALLOWED[name], f"tfd2l/{name} may not import {used - ALLOWED[name]}"


def test_pipelines_import_nothing_of_the_library() -> None:
    for name, path in files("pipelines"):
        used = {module.removeprefix("pipelines.") for module in imported(path)}
        assert used <= PIPELINES[name], f"pipelines/{name} may not import {used - PIPELINES[name]}"


@pytest.mark.parametrize("table", [ALLOWED, PIPELINES])
def test_the_permitted_imports_have_no_cycle(table: dict[str, set[str]]) -> None:
    remaining = {name: uses & set(table) for name, uses in table.items()}
    while remaining:
        free = {name for name, uses in remaining.items() if not uses & set(remaining)}
        assert free, f"a cycle among {sorted(remaining)}"
        remaining = {name: uses for name, uses in remaining.items() if name not in free}


def test_the_public_names_are_those_listed_and_all_of_them_exist() -> None:
    stub = ast.parse((ROOT / "tfd2l/__init__.pyi").read_text(encoding="utf-8"))
    listed = next(
        ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)
    )
    assert sorted(listed) == sorted(tfd2l.__all__)
    assert len(listed) == len({*listed})
    # Importing a module makes it an attribute of the package, which would hide a function.
    assert not {*listed} & {name.split(".")[0] for name, _ in files("tfd2l")}
    for name in listed:
        found = getattr(tfd2l, name)
        if name not in TENSORFLOWS_OWN:
            assert found.__name__ == name
            assert found.__module__.startswith("tfd2l.")


def test_importing_the_package_loads_nothing_slow() -> None:
    program = (
        "import sys, tfd2l\n"
        "print({'tensorflow', 'keras', 'matplotlib', 'pandas', 'numpy'} & {*sys.modules})"
    )
    assert run(program) == "set()\n"


def test_importing_every_module_seeds_writes_and_connects_nothing() -> None:
    packages = ("pipelines", "tfd2l")
    modules = [f"{package}.{name}" for package in packages for name, _ in files(package)]
    program = f"""
import random, sys
import numpy as np, tensorflow as tf, keras, pandas, pydantic_settings, rich.progress
state, numpy_state = random.getstate(), np.random.get_state()[1].tolist()
def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if "__pycache__" not in str(arguments[0]):
            print("wrote", arguments[0])
    elif event in ("socket.connect", "subprocess.Popen", "os.mkdir", "os.remove"):
        print(event, arguments)
sys.addaudithook(watch)
sys.argv = ["unlikely"]
for module in {modules!r}:
    __import__(module)
assert random.getstate() == state
assert np.random.get_state()[1].tolist() == numpy_state
"""
    assert run(program) == ""


def run(program: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
