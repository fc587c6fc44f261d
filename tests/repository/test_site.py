"""The documentation site in a browser without a network: in light and dark, narrow and wide."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("myst_nb") is None, reason="needs Sphinx: make docs installs it"
    ),
]
SITE = ROOT / "docs/_build/html"
# Width in pixels and colours.
VIEWS = [(390, "light"), (1280, "dark")]
# Widths of the page and of the window; pictures without text or that are not there; addresses.
LOOK = """() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    pictures: [...document.images].filter(
        i => !i.alt.trim() || i.alt.includes(i.src.split("/").pop()) || !i.naturalWidth
    ).map(i => i.src.slice(0, 80)),
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    title: document.querySelector("h1").innerText,
    ground: getComputedStyle(document.body).backgroundColor,
})"""


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """The pages of the site, built as `make docs` does, and one page of a source file."""
    [recipe] = re.findall(
        r"^\t@\$\(RUN\) (-m sphinx .*?[^\\])$", (ROOT / "Makefile").read_text(), re.M | re.S
    )
    command = [sys.executable, *recipe.replace("\\\n", " ").split()]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    parts = ("docs", "notebooks", "savedmodels", "source/tfd2l/book/trainer.py.html")
    found = [path for part in parts for path in [SITE / part, *(SITE / part).rglob("*.html")]]
    return [path for path in [*found, *SITE.glob("C*.html")] if path.is_file()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=VIEWS, ids=lambda view: f"{view[0]}-{view[1]}")
def view(browser: Any, request: pytest.FixtureRequest) -> Iterator[tuple[Page, list[str]]]:
    """A page of the browser without a network, and the problems that it meets."""
    width, colours = request.param
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=colours, offline=True
    )
    page, problems = context.new_page(), []
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda message: (
            problems.append(f"{page.url}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("requestfailed", lambda failed: problems.append(f"{page.url}: {failed.url}"))
    page.on(
        "request",
        lambda sent: (
            None
            if sent.url.startswith(("file:", "data:", "blob:"))
            else problems.append(f"{page.url}: {sent.url}")
        ),
    )
    yield page, problems
    context.close()


@cache
def ids(path: Path) -> set[str]:
    """The anchors of a page."""
    return set(re.findall(r'\s(?:id|name)="([^"]+)"', path.read_text(encoding="utf-8")))


def broken(address: str) -> bool:
    """Whether a link to a file leads nowhere."""
    parts = urlsplit(address)
    if parts.scheme != "file":
        return False
    path = Path(unquote(parts.path))
    return not path.is_file() or bool(
        parts.fragment and path.suffix == ".html" and unquote(parts.fragment) not in ids(path)
    )


def test_every_page_is_whole(pages: list[Path], view: tuple[Page, list[str]]) -> None:
    page, problems = view
    assert len(pages) > 40
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for path in pages:
        page.goto(path.as_uri())
        seen = page.evaluate(LOOK)
        name = path.relative_to(SITE)
        if seen["overflow"] > 0:
            problems.append(f"{name} is {seen['overflow']} pixels too wide")
        problems += [f"{name}: the picture {source}" for source in seen["pictures"]]
        problems += [f"{name}: the link {link}" for link in seen["links"] if broken(link)]
        red = int(re.findall(r"\d+", seen["ground"])[0])
        assert seen["title"], name
        assert (red < 64) == dark, name
    assert not problems, "\n".join(problems)


def test_the_search_finds_names_and_lessons(
    pages: list[Path], view: tuple[Page, list[str]]
) -> None:
    page, problems = view
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=dropout")
    results = page.locator("#search-results")
    expect(results).to_contain_text("tfd2l.dropout_layer")
    expect(results).to_contain_text("5.6 Dropout")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not problems, "\n".join(problems)


def test_the_first_page_leads_to_the_home_page(
    pages: list[Path], view: tuple[Page, list[str]]
) -> None:
    page, problems = view
    page.goto((SITE / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    expect(page.locator("h1").first).to_contain_text("tfd2l")
    assert not problems, "\n".join(problems)


def test_formulas_are_shown_without_a_script(
    pages: list[Path], view: tuple[Page, list[str]]
) -> None:
    page, _ = view
    page.goto((SITE / "notebooks/04_01_softmax_regression.html").as_uri())
    assert page.locator("math").first.bounding_box() is not None
    assert not [text for text in page.locator("article p").all_inner_texts() if "$" in text]
