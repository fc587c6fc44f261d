"""The documents agree with the code: the map of the files, links, and examples in docstrings."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support import ROOT, architecture
from tests.support.documents import PAGES, anchors

MODULES = sorted(
    path
    for package in ("pipelines", "tfd2l")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
# Public names without an example, and why.
WITHOUT_EXAMPLE = {
    "Client", "GrpcClient", "LocalModel",  # need a server or an export
    "map_on_service",  # needs a service, and a second for each pass
    "publish",  # takes seconds, for the load check in another process
    "download", "KaggleHouse", "FashionMNIST",  # read files that may have to be fetched
    "show_images", "use_svg_display", "set_figsize", "set_axes",  # show pictures
    "try_all_gpus", "try_gpu", "num_gpus", "gpu",  # depend on the machine
}  # fmt: skip


def test_the_map_of_the_files_is_up_to_date() -> None:
    assert architecture.current() == architecture.expected(), (
        "run: python -m tests.support.architecture"
    )


def test_the_pictures_are_up_to_date() -> None:
    drawn = runpy.run_path(str(ROOT / "docs/site/pictures.py"))["pictures"]()
    stale = [path.name for path, text in drawn if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python docs/site/pictures.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_to_headings(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if ":" in link:  # another site's
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_reference_has_every_public_name() -> None:
    pages = runpy.run_path(str(ROOT / "docs/site/reference.py"))["pages"]()
    entry = r"^\.\. (?:auto\w+:: tfd2l\.|py:data:: )(\w+)$"
    entries = re.findall(entry, "\n".join(pages.values()), re.MULTILINE)
    assert sorted(entries) == sorted(d2l.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_in_docstrings_run(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    keras.utils.set_random_seed(0)
    names = {**vars(module), "d2l": d2l, "np": np, "tf": tf}
    failed, tried = doctest.testmod(module, extraglobs=names)
    assert tried > 0
    assert failed == 0


def test_public_functions_and_classes_have_an_example() -> None:
    missing = []
    for name in d2l.__all__:
        found = getattr(d2l, name)
        if not getattr(found, "__module__", "").startswith("tfd2l.") or name in WITHOUT_EXAMPLE:
            continue
        if ">>> " not in (found.__doc__ or ""):
            missing.append(name)
    assert missing == []


def test_each_part_says_what_lives_there() -> None:
    for path in (ROOT / "tfd2l").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_no_folder_has_more_files_than_one_can_look_through() -> None:
    for package in ("pipelines", "tfd2l"):
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
            files = [p for p in folder.glob("*.py") if not p.name.startswith("__")]
            assert len(files) <= 18, folder
