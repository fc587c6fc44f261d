"""Sphinx extension: formulas as MathML, which browsers show by themselves, without a script."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer with Sphinx, and give the site a font of mathematical signs."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    app.config.html_math_renderer = "mathml"
    # STIX Two Math, under the SIL Open Font License; many machines have no such font.
    package = importlib.util.find_spec("ziamath")
    if package is not None and package.origin is not None:
        app.config.html_static_path.append(str(Path(package.origin).parent / "fonts"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _display(writer: Any, node: nodes.math_block) -> None:
    # The box scrolls by itself where a formula is wider than the page.
    formula = convert(node.astext(), display="block")
    writer.body.append(f'<div class="formula" tabindex="0">{formula}</div>\n')
    raise nodes.SkipNode
