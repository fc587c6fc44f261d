"""Sphinx extension: the site's order of pages, and what its pages add to those of a code host."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import reference
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

HOME = "docs/index"
# The pages by the captions of the side bar. A guide that is missing here comes after the others.
ORDER = {
    "Guides": [
        "docs/start",
        "docs/own_model",
        "docs/own_data",
        "docs/command",
        "docs/resuming",
        "docs/distributed",
        "savedmodels/README",
        "docs/migration",
        "docs/chapters_6_to_8",
    ],
    "Lessons": ["notebooks/*"],
    "Reference": ["docs/api/index"],
    "The project": [
        "docs/architecture",
        "docs/performance",
        "docs/robustness",
        "CHANGELOG",
        "CONTRIBUTING",
    ],
}


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension to Sphinx."""
    app.connect("builder-inited", lambda _: reference.write())
    app.connect("source-read", _add_order)
    app.add_transform(WithoutNetwork)
    app.add_transform(PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_order(app: Any, page: str, source: list[str]) -> None:
    """Append the order of all pages to the home page, for the side bar."""
    if page != HOME:
        return
    named = {HOME, *chain(*ORDER.values())}
    others = [
        each for each in sorted(app.env.found_docs - named) if Path(each).parent.name == "docs"
    ]
    for caption, entries in ORDER.items():
        lines = [f"/{entry}" for entry in [*entries, *(others if caption == "Guides" else [])]]
        options = [f":caption: {caption}", ":hidden:", ":glob:"]
        source[0] += "\n".join(["\n```{toctree}", *options, "", *lines, "```", ""])


class WithoutNetwork(SphinxTransform):
    """Replaces pictures that lie in the network, such as badges, by their texts."""

    default_priority = 400

    def apply(self) -> None:
        """Replace the pictures of one page."""
        for image in list(self.document.findall(nodes.image)):
            if "://" in image["uri"]:
                image.replace_self(nodes.inline(text=image.get("alt", image["uri"])))


class PublicNames(SphinxTransform):
    """Links code such as `d2l.Trainer` to its entry in the reference."""

    default_priority = 400
    public = frozenset(name for group in reference.names().values() for name in group)

    def apply(self) -> None:
        """Link the names on one page."""
        for literal in list(self.document.findall(nodes.literal)):
            name = re.fullmatch(r"d2l\.(\w+)(\(.*\))?", literal.astext())
            linked = isinstance(literal.parent, nodes.reference | addnodes.pending_xref)
            if name and name[1] in self.public and not linked:
                target = {"refdomain": "py", "reftype": "obj", "reftarget": f"tfd2l.{name[1]}"}
                link = addnodes.pending_xref("", refdoc=self.env.docname, **target)
                link["refwarn"] = True
                literal.replace_self(link)
                link += literal
