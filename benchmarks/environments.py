"""`python -m benchmarks.environments [NAME...]`: environments for peers that need their own.

This project depends on neither PyTorch nor JAX, and the book's package needs a TensorFlow of 2023.
Each gets an environment below `.environments/`, from a list of its packages with hashes; PyTorch's
takes some 5 GB.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / ".environments"
LISTS = Path(__file__).parent / "requirements"
NAMES = ("jax", "torch", "d2l-tensorflow")


def python_of(environment: str | None) -> str:
    """Return the path of an environment's interpreter, installed or not; None is this one."""
    return sys.executable if environment is None else str(FOLDER / environment / "bin" / "python")


def install(name: str) -> None:
    """Delete the environment if it is there, and create it."""
    uv = Path(sys.executable).with_name("uv")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--clear", "--python", python, FOLDER / name], check=True)
    packages = ["--require-hashes", "--no-deps", "-r", str(LISTS / f"{name}.txt")]
    # pip compiles by itself, uv does not: a peer's first imports would compile PyTorch's sources.
    install = [str(uv), "pip", "install", "--compile-bytecode", "--python", python_of(name)]
    subprocess.run([*install, *packages], check=True)


def main(names: list[str]) -> None:
    """Install the named environments, or all."""
    if unknown := set(names) - set(NAMES):
        given, known = ", ".join(sorted(unknown)), ", ".join(NAMES)
        raise SystemExit(f"there is no environment {given}; choose from {known}.")
    for name in names or NAMES:
        install(name)


if __name__ == "__main__":
    main(sys.argv[1:])
