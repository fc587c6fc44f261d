"""A browser and a server for the tests of the web page, started once for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from tests.support.page_files import ANSWER_MS, publish_scratch
from tests.support.raw_models import ROOFS, save_colours, save_prices, save_roofs
from tests.support.served import running
from tests.support.small_models import Linear, Scratch
from tfd2l.export.signatures import export_regressor


@pytest.fixture(scope="session")
def scratch() -> Scratch:
    return Scratch()


@pytest.fixture(scope="session")
def served(scratch: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of models that is served."""
    base = tmp_path_factory.mktemp("models")
    publish_scratch(scratch, base, "scratch", 1)
    labels = ["blue", "green", "red"]
    save_colours(
        base / "z-colours/1",
        (6, 8, 3),
        input={"kind": "image", "framing": "none"},
        output={"kind": "class", "labels": labels},
        evaluation={"metric": "accuracy", "value": 0.875, "num_examples": 1200},
    )
    table = {
        "kind": "table",
        "columns": {"rooms": "float32", "roof": "string"},
        "choices": {"roof": ["Slate", "Tin"]},
        "example": {"rooms": 2.5, "roof": "Slate"},
        "takes_missing": True,
    }
    price = {"kind": "number", "name": "Price"}
    data = {"columns": {"rooms": "number", "roof": "category"}}
    save_prices(base / "z-houses/1", input=table, output=price, data=data)
    save_roofs(base / "z-roofs/1", output={"kind": "class", "labels": ROOFS})
    export_regressor(Linear(), base / "z-linear/1", num_inputs=2)
    return base


@pytest.fixture(scope="session")
def address(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(["-m", "tfd2l.serve", str(served), "--port", "0"], log, warm=True) as server:
        yield server.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium with a camera that shows a test picture."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        # As root, where containers run tests, Chromium starts without its sandbox only.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", *camera]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tab(browser: Any) -> Page:
    """A tab, which takes longer to open than a page to load."""
    page: Page = browser.new_page()
    page.set_default_timeout(ANSWER_MS)
    return page


@pytest.fixture
def page(tab: Page, address: str) -> Iterator[Page]:
    """The page with the models' list; a test fails for an error in its console.

    Refused requests are there as well, which some tests provoke.
    """
    problems: list[str] = []

    def hear_error(error: Any) -> None:
        problems.append(str(error))

    def hear_message(message: ConsoleMessage) -> None:
        if message.type == "error" and "the server responded" not in message.text:
            problems.append(message.text)

    tab.on("pageerror", hear_error)
    tab.on("console", hear_message)
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.goto(address)
    tab.wait_for_selector("#model option", state="attached")
    yield tab
    tab.unroute_all(behavior="ignoreErrors")
    tab.remove_listener("pageerror", hear_error)
    tab.remove_listener("console", hear_message)
    assert not problems
