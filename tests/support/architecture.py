"""Writes the list of files in docs/architecture.md from the first lines of their docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support import ROOT

DOCUMENT = ROOT / "docs/architecture.md"
BEGIN, END = "<!-- files -->\n", "<!-- end of files -->\n"


def current() -> str:
    """Return the document's present text."""
    return DOCUMENT.read_text(encoding="utf-8")


def expected() -> str:
    """Return the document's text with a new list of files."""
    before, _, rest = current().partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}{_files()}{END}{after}"


def _files() -> str:
    lines = []
    for package in ("pipelines", "tfd2l"):
        folders = {path.parent for path in (ROOT / package).rglob("__init__.py")}
        for folder in sorted(folders):
            name = folder.relative_to(ROOT).as_posix()
            lines += ["", f"### `{name}/`", "", _about(folder / "__init__.py"), ""]
            lines += [
                f"- [`{path.name}`](../{name}/{path.name}): {_about(path)}"
                for path in sorted(folder.glob("*.py"))
                if not path.name.startswith("__")
            ]
    return "\n".join(lines) + "\n\n"


def _about(path: Path) -> str:
    """Return the first paragraph of a file's docstring as one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


if __name__ == "__main__":
    DOCUMENT.write_text(expected(), encoding="utf-8")
