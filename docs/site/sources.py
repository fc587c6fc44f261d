"""Sphinx extension: a page for each source file, to which other pages link."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, guess_lexer_for_filename
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.logging import getLogger

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "source"
PATTERNS = ("pipelines/**/*.py", "tfd2l/**/*.py", "tests/support/*.py", "pyproject.toml", "LICENSE")
FILES = sorted(
    path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in ROOT.glob(pattern)
)
logger = getLogger(__name__)


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension to Sphinx."""
    app.config.linkcode_resolve = _address
    app.add_transform(LinkedFiles)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class LinkedFiles(SphinxTransform):
    """Leads a link to a source file to its page; Sphinx would offer a download."""

    default_priority = 400

    def apply(self) -> None:
        """Replace the links of one page."""
        up = "../" * self.env.docname.count("/")
        for link in list(self.document.findall(addnodes.download_reference)):
            path = (ROOT / self.env.docname).parent / link["reftarget"]
            name = path.resolve().relative_to(ROOT).as_posix()
            if name not in FILES:
                logger.warning("%s is linked, but has no page here", name, location=link)
            replacement = nodes.reference(refuri=f"{up}{FOLDER}/{name}.html", internal=True)
            replacement += link.children
            link.replace_self(replacement)


def _address(domain: str, info: dict[str, str]) -> str | None:
    """Return the address of an object's source, from a page of the reference."""
    if not info["module"]:  # a value, such as a number
        return None
    found: Any = importlib.import_module(info["module"])
    try:
        for part in info["fullname"].split("."):
            found = getattr(found, part)
        # A property is written by its getter.
        found = inspect.unwrap(getattr(found, "fget", found))
        name = Path(inspect.getsourcefile(found) or "").resolve().relative_to(ROOT).as_posix()
        line = max(1, inspect.getsourcelines(found)[1])  # a module has the line 0
    except (AttributeError, TypeError, ValueError):  # of another project
        return None
    if name not in FILES:  # .venv lies below the root, too
        return None
    return f"../../{FOLDER}/{name}.html#line-{line}"


def _pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for each file."""
    form = HtmlFormatter(linenos="inline", lineanchors="line", anchorlinenos=True)
    for name in FILES:
        text = (ROOT / name).read_text(encoding="utf-8")
        lexer = TextLexer() if "." not in name else guess_lexer_for_filename(name, text)
        body = f"<h1>{name}</h1>{highlight(text, lexer, form)}"
        yield f"{FOLDER}/{name}", {"title": name, "body": body}, "page.html"
