"""The web page in a real browser: files, drops, versions and a narrow screen."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect, sync_playwright

from tests.support.raw_models import ROOFS, save_colours, save_prices, save_roofs
from tests.support.served import running
from tests.support.small_models import LABELS, Linear, Scratch, preprocess
from tfd2l.export.signatures import export_classifier, export_regressor

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium"),
]
# Enough for a slow machine; other tests measure the server.
ANSWER_MS = 20_000


@pytest.fixture(scope="module")
def model() -> Scratch:
    return Scratch()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of models that is served."""
    return tmp_path_factory.mktemp("models")


def publish(model: Scratch, base: Path, name: str, version: int) -> None:
    """Publish a version of a model by a rename."""
    (base / name).mkdir(exist_ok=True)
    staging = base / name / ".staging"
    export_classifier(model, staging, labels=LABELS, preprocess=preprocess)
    staging.rename(base / name / str(version))


@pytest.fixture(scope="module")
def address(model: Scratch, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    publish(model, base, "scratch", 1)
    image = {"kind": "image", "framing": "none"}
    save_colours(base / "z-colours/1", (6, 8, 3), input=image)
    columns = {"rooms": "float32", "roof": "string"}
    price = {"kind": "number", "name": "Price"}
    save_prices(base / "z-houses/1", input={"kind": "table", "columns": columns}, output=price)
    save_roofs(base / "z-roofs/1", output={"kind": "class", "labels": ROOFS})
    export_regressor(Linear(), base / "z-linear/1", num_inputs=2)
    log = tmp_path_factory.mktemp("log") / "log"
    with running(["-m", "tfd2l.serve", str(base), "--port", "0"], log, warm=True) as server:
        yield server.url


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
    page.wait_for_selector("#model option", state="attached")
    yield page
    page.close()
    # Neither an error of the script nor anything that the security policy stopped.
    assert not problems


def png(pixels: np.ndarray[Any, Any]) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return {"name": "image.png", "mimeType": "image/png", "buffer": file.getvalue()}


def seen(page: Page, height: int = 28, width: int = 28) -> np.ndarray[Any, Any]:
    """The pixels of the picture of what the model sees, with their three colours."""
    values = page.evaluate(
        f"[...document.querySelector('#seen').getContext('2d')"
        f".getImageData(0, 0, {width}, {height}).data]"
    )
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def test_an_image_file_is_shown_as_the_model_sees_it_with_all_probabilities(
    page: Page, model: Scratch
) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:20] = np.random.default_rng(0).integers(60, 256, (20, 12))
    page.set_input_files("#file", png(pixels))
    page.wait_for_selector("#answer", state="visible")
    np.testing.assert_array_equal(seen(page), np.stack([pixels] * 3, axis=-1))
    logits = np.asarray(model.logits(preprocess(pixels[None])))[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    shares = powers / powers.sum()
    rows = [row.split("\t") for row in page.inner_text("#bars").replace("\n", "").split("%")]
    found = {row[0].strip(): float(row[-1]) / 100 for row in rows if len(row) > 1}
    # The page shows one decimal.
    assert found == pytest.approx(dict(zip(LABELS, shares, strict=True)), abs=0.00051)
    assert page.inner_text("#label").startswith(LABELS[int(shares.argmax())])


def test_a_large_image_on_white_ground_is_prepared_and_it_says_how(page: Page) -> None:
    pixels = np.full((300, 200, 3), 255, np.uint8)
    pixels[60:240, 50:150] = 40
    page.set_input_files("#file", png(pixels))
    page.wait_for_selector("#answer", state="visible")
    assert "invert" in page.inner_text("#notes")
    assert seen(page)[14, 14, 0] > 150
    assert seen(page)[0, 0, 0] < 30


def test_a_file_that_is_not_an_image_is_refused_and_the_next_one_works(page: Page) -> None:
    page.set_input_files(
        "#file", {"name": "notes.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.wait_for_selector("#problem", state="visible")
    assert page.inner_text("#problem")
    assert not page.is_visible("#answer")
    page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
    page.wait_for_selector("#answer", state="visible")
    assert not page.is_visible("#problem")


def drop(page: Page, items: str, target: str = "#drop") -> None:
    """Drop on an element what lines of script add to `transfer`."""
    page.evaluate(
        f"""() => {{
            const transfer = new DataTransfer();
            const file = (name, value) => {{
                const canvas = document.createElement('canvas');
                canvas.width = canvas.height = 28;
                const context = canvas.getContext('2d');
                context.fillStyle = `rgb(${{value}} ${{value}} ${{value}})`;
                context.fillRect(4, 1, 20, 26);
                const text = atob(canvas.toDataURL('image/png').split(',')[1]);
                return new File([Uint8Array.from(text, (c) => c.charCodeAt(0))], name);
            }};
            {items}
            const event = new DragEvent('drop', {{dataTransfer: transfer, bubbles: true,
                                                  cancelable: true}});
            document.querySelector('{target}').dispatchEvent(event);
        }}"""
    )


@pytest.mark.parametrize("target", ["#drop", "h1"])
def test_a_dropped_file_is_taken_and_the_page_stays(page: Page, address: str, target: str) -> None:
    drop(page, "transfer.items.add(file('image.png', 200));", target)
    page.wait_for_selector("#answer", state="visible")
    assert page.url.rstrip("/") == address


def test_of_several_dropped_files_it_says_that_the_first_was_taken(page: Page) -> None:
    drop(page, "for (const grey of [90, 200]) transfer.items.add(file(`${grey}.png`, grey));")
    page.wait_for_selector("#answer", state="visible")
    # A canvas is transparent around what was drawn, which is taken as white.
    assert seen(page)[14, 14, 0] == 165
    said = page.inner_text("#notes")
    assert said.startswith("90.png is the first of 2 files; the others were not used; ")


def test_a_dropped_link_is_refused_with_what_to_drop(page: Page) -> None:
    drop(page, "transfer.setData('text/uri-list', 'http://127.0.0.1/boot.png');")
    page.wait_for_selector("#problem", state="visible")
    assert page.inner_text("#problem") == (
        "Drop an image file, not a text or a link: save the image first."
    )
    assert not page.is_visible("#answer")


def test_the_same_file_can_be_chosen_again(page: Page) -> None:
    page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
    page.wait_for_selector("#answer", state="visible")
    assert page.input_value("#file")
    with page.expect_file_chooser():
        page.click("#file")
    # A browser fires no event for the same choice as before.
    assert page.input_value("#file") == ""


def test_it_shows_the_version_that_answered_also_a_later_one(
    page: Page, model: Scratch, base: Path
) -> None:
    page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
    expect(page.locator("#source")).to_have_text("scratch, version 1")
    # JavaScript's numbers do not hold it exactly.
    publish(model, base, "scratch", 2**53 + 1)

    def ask_again() -> str:
        page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
        page.wait_for_timeout(200)
        return page.inner_text("#source") if page.is_visible("#answer") else ""

    wait_until(lambda: ask_again() == f"scratch, version {2**53 + 1}")


def test_a_model_that_came_later_is_listed_when_the_list_is_entered(
    page: Page, model: Scratch, base: Path
) -> None:
    page.select_option("#model", "scratch")
    publish(model, base, "a-later-one", 1)

    def names() -> list[str]:
        page.focus("#file")
        page.focus("#model")
        page.wait_for_timeout(200)
        return page.locator("#model option").all_inner_texts()

    wait_until(lambda: "a-later-one" in names())
    # The choice stays.
    assert page.input_value("#model") == "scratch"


def test_a_model_of_own_images_is_shown_what_it_sees_in_colour_and_without_garments(
    page: Page,
) -> None:
    assert page.inner_text("#subject") == "An image of a garment"
    page.select_option("#model", "z-colours")
    expect(page.locator("#subject")).to_have_text("An image")
    expect(page.locator("#gallery")).to_be_hidden()
    assert page.locator("#framing option").all_inner_texts()[0] == "as the model says (none)"
    assert page.locator("#framing option[value=garment]").is_disabled()
    pixels = np.full((12, 16, 3), (250, 200, 10), np.uint8)
    page.set_input_files("#file", png(pixels))
    expect(page.locator("#label")).to_contain_text("red (")
    np.testing.assert_array_equal(seen(page, 6, 8), np.full((6, 8, 3), (250, 200, 10)))
    assert page.inner_text("#notes") == "16 x 12 resized to 6 x 8"
    assert page.get_attribute("#seen", "aria-label") == "the image, 6 by 8 pixels"


def test_the_framing_can_be_changed_on_the_page(page: Page) -> None:
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[10:30, 5:15] = 40
    page.set_input_files("#file", png(pixels))
    expect(page.locator("#notes")).to_contain_text("cropped to the garment")
    page.select_option("#framing", "none")
    expect(page.locator("#notes")).to_have_text("40 x 40 resized to 28 x 28")
    assert seen(page)[0, 0, 0] == 255
    assert page.inner_text("#subject") == "An image"


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.fill(f"#fields input[data-name='{name.replace('_', ' ')}']", value)
    page.click("#row button")


def test_a_model_of_a_table_has_a_field_for_each_column(page: Page) -> None:
    page.select_option("#model", "z-houses")
    expect(page.locator("#drop")).to_be_hidden()
    assert page.locator("#fields label").all_inner_texts() == ["rooms", "roof"]
    fill(page, rooms="2.5", roof="Slate")
    # 10 * 2.5 + 5; and 10 * 3 where nothing is given.
    expect(page.locator("#label")).to_have_text("Price: 30")
    fill(page, rooms="2", roof="tin")
    expect(page.locator("#label")).to_have_text("Price: 20")
    fill(page, rooms="", roof="Slate")
    expect(page.locator("#label")).to_have_text("Price: 35")
    assert not page.is_visible("#seen")
    page.select_option("#model", "z-roofs")
    expect(page.locator("#answer")).to_be_hidden()
    fill(page, rooms="3", roof="Slate")
    # The logits are 30 and 35: 1 / (1 + exp(-5)) = 0.993.
    expect(page.locator("#label")).to_have_text("steep (99.3 %)")
    rows = page.locator("#bars tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["steep", "flat"]


def test_a_model_of_numbers_has_a_field_for_each(page: Page) -> None:
    page.select_option("#model", "z-linear")
    expect(page.locator("#fields label")).to_have_count(2)
    # 2 a - 3.4 b + 4.2; without a number the browser asks for it.
    fill(page, feature_1="1")
    assert not page.is_visible("#answer")
    fill(page, feature_2="-1")
    expect(page.locator("#label")).to_contain_text("prediction: 9.6")


def test_on_a_narrow_screen_nothing_wraps_or_sticks_out(page: Page, model: Scratch) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.select_option("#model", "z-houses")
    expect(page.locator("#row")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.select_option("#model", "scratch")
    page.set_input_files("#file", png(np.eye(28, dtype=np.uint8) * 255))
    page.wait_for_selector("#answer", state="visible")
    lines = page.evaluate(
        """[...document.querySelectorAll('td.number')].map((cell) => {
            cell.textContent = '100.0 %';
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getClientRects().length;
        })"""
    )
    assert lines == [1] * len(LABELS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def wait_until(holds: Callable[[], bool]) -> None:
    """The server looks for new versions once a second."""
    end = time.monotonic() + ANSWER_MS / 1000
    while not holds():
        assert time.monotonic() < end
