"""The project's pages: their code blocks, the statements of a shell block, and their anchors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

__all__ = ["PAGES", "Block", "anchors", "blocks", "statements"]

PAGES = [
    *(
        ROOT / f"{name}.md"
        for name in ("README", "CHANGELOG", "CONTRIBUTING", "savedmodels/README")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]


class Block(NamedTuple):
    """A block of code, with the language behind its fence and the number of its first line."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages, in the order of the pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for fence in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if fence[1] in languages:
                line = text[: fence.start()].count("\n") + 2
                found.append(Block(page, line, fence[1], fence[2]))
    return found


def statements(block: Block) -> list[str]:
    """Return a shell block's commands, each without its comment and with its further lines."""
    # A line that ends in a backslash goes on in the next, as does one within quotes.
    lines = re.sub(r"\\\n\s*", " ", block.code).splitlines()
    bare = [re.sub(r"(^|\s{2,})#.*", "", line).strip() for line in lines]
    return [line for line in bare if line]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a code host gives to a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
