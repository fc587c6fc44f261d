"""Sphinx' settings for the documentation site; `make docs` builds it.

The pages are used where they lie: the root of the project is Sphinx' source directory, so that a
link between two pages is the same one on the site and on a code host. Nothing comes from the
network when the site is built or read: formulas become MathML, and the search runs in the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import tfd2l  # noqa: E402 - found by the line above

project = "tfd2l"
version = release = tfd2l.__version__
project_copyright = "the authors of tfd2l; MIT license"
html_title = f"tfd2l {version}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "formulas",
    "pages",
    "sources",
]
root_doc = "docs/index"
# Sphinx walks through all other directories, .venv and runs among them.
PARTS = {"docs", "notebooks", "savedmodels", "CHANGELOG.md", "CONTRIBUTING.md"}
exclude_patterns = [
    *(path.name for path in ROOT.iterdir() if path.name not in PARTS),
    "docs/site",
    "docs/_build",
    "savedmodels/*/**",
    "**/.ipynb_checkpoints",
]

# A lesson's solutions are reached from the lesson alone.
suppress_warnings = ["toc.not_included"]

# Markdown and notebooks, which have their outputs already.
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
highlight_language = "none"  # where a block names none
nb_execution_mode = "off"
nb_merge_streams = True

# The API reference. Docstrings have single backticks around code.
default_role = "py:obj"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

templates_path = ["templates"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    "logo": {"text": "tfd2l"},
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "primary_sidebar_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_sidebars = {"**": ["all-pages.html"]}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_copy_source = False
html_show_sphinx = False
# A summary would be fetched, which browsers refuse for pages that are files.
html_show_search_summary = False
