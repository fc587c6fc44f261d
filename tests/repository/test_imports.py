"""The permitted imports, the public names, and that importing the package does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import tfd2l
from tests.support import ROOT
from tfd2l.book import aliases

# The book's short names, which stand for things of TensorFlow and pyplot, and its address of data.
OWN = {"numpy", "randn", "reshape", "size"}
TENSORFLOWS_OWN = {name for name in vars(aliases) if name in tfd2l.__all__} - OWN
TENSORFLOWS_OWN |= {"DATA_URL", "distributions", "plt"}


def files(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__init__.py":
            yield ".".join(path.relative_to(ROOT / package).with_suffix("").parts), path


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
import numpy as np, tensorflow as tf, keras, pandas, pydantic, rich.progress
state, numpy_state = random.getstate(), np.random.get_state()[1].tolist()
def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
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
        [sys.executable, "-B", "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
