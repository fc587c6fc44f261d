"""The web page, in a real browser: by keyboard, by file, and with files that are no images."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect, sync_playwright
from standins import LABELS, Scratch, preprocess

from tfd2l.export import export_classifier

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]
ROOT = Path(__file__).parents[2]
# The server's own tests are elsewhere; here it only has to answer.
ANSWER_MS = 20_000


@pytest.fixture(scope="module")
def model() -> Scratch:
    return Scratch()


@pytest.fixture(scope="module")
def address(model: Scratch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = tmp_path_factory.mktemp("models")
    (base / "scratch").mkdir()
    export_classifier(model, base / "scratch" / "1", labels=LABELS, preprocess=preprocess)
    command = [sys.executable, "-m", "tfd2l.serve", str(base), "--stand-in", "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        stdout: Any = server.stdout
        found = re.search(r"http://[\d.]+:\d+", stdout.readline())
        assert found is not None
        yield found[0]
        server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        # As root, where containers run tests, Chromium starts without its sandbox only.
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(ANSWER_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Policy" in message.text
            else None)  # fmt: skip
    page.goto(address)
    # By a locator, for the page's policy forbids texts of script.
    expect(page.locator("#model option")).to_have_count(1, timeout=ANSWER_MS)
    yield page
    page.close()
    # Neither an error of the script nor anything that the security policy stopped.
    assert not problems


def png(pixels: np.ndarray[Any, Any]) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return {"name": "image.png", "mimeType": "image/png", "buffer": file.getvalue()}


def seen(page: Page) -> np.ndarray[Any, Any]:
    """The pixels of the picture of what the model sees."""
    values = page.evaluate(
        "[...document.querySelector('#seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    return np.array(values, np.uint8).reshape(28, 28, 4)[..., 0]


def test_an_image_file_is_shown_as_the_model_sees_it_with_all_probabilities(
    page: Page, model: Scratch
) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:20] = np.random.default_rng(0).integers(60, 256, (20, 12))
    page.set_input_files("#file", png(pixels))
    page.wait_for_selector("#answer", state="visible")
    np.testing.assert_array_equal(seen(page), pixels)
    logits = np.asarray(model.logits(preprocess(pixels[None])))[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    shares = powers / powers.sum()
    rows = [row.split("\t") for row in page.inner_text("#bars").replace("\n", "").split("%")]
    found = {row[0].strip(): float(row[-1]) / 100 for row in rows if len(row) > 1}
    # The page shows a place after the point.
    assert found == pytest.approx(dict(zip(LABELS, shares, strict=True)), abs=0.00051)
    assert page.inner_text("#label").startswith(LABELS[int(shares.argmax())])


def test_a_large_image_on_white_ground_is_prepared_and_it_says_how(page: Page) -> None:
    pixels = np.full((300, 200, 3), 255, np.uint8)
    pixels[60:240, 50:150] = 40
    page.set_input_files("#file", png(pixels))
    page.wait_for_selector("#answer", state="visible")
    assert "invert" in page.inner_text("#notes")
    assert seen(page)[14, 14] > 150
    assert seen(page)[0, 0] < 30


def test_a_test_image_is_chosen_by_keyboard_alone(page: Page) -> None:
    page.wait_for_selector("#samples button")
    # The model, the file, and then the images.
    for _ in range(4):
        page.keyboard.press("Tab")
    assert "test image 2" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer", state="visible")
    assert page.locator("#bars tr").count() == len(LABELS)


def test_what_is_no_image_is_said_and_the_next_one_works(page: Page) -> None:
    page.set_input_files(
        "#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.wait_for_selector("#problem", state="visible")
    assert page.inner_text("#problem")
    assert not page.is_visible("#answer")
    page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
    page.wait_for_selector("#answer", state="visible")
    assert not page.is_visible("#problem")


def test_a_dropped_file_is_taken_and_the_page_stays(page: Page, address: str) -> None:
    file = png(np.eye(28, dtype=np.uint8) * 255)["buffer"]
    page.evaluate(
        """bytes => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], 'image.png'));
            const event = new DragEvent('drop', {dataTransfer: transfer, bubbles: true,
                                                 cancelable: true});
            document.querySelector('#drop').dispatchEvent(event);
        }""",
        [*file],
    )
    page.wait_for_selector("#answer", state="visible")
    assert page.url.rstrip("/") == address
