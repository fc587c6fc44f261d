"""The web page in a real browser: images, rows, versions and errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.support.page_files import ANSWER_MS, TEXT_FILE, grey, image_file, publish_scratch
from tests.support.small_models import LABELS, Scratch, preprocess

pytestmark = pytest.mark.slow


def canvas(page: Page, name: str, height: int, width: int) -> np.ndarray[Any, Any]:
    """The pixels of a canvas, with their three colours."""
    values = page.evaluate(
        f"[...document.querySelector('#{name}').getContext('2d')"
        f".getImageData(0, 0, {width}, {height}).data]"
    )
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def shares_of(page: Page) -> dict[str, float]:
    rows = page.locator("#bars tr").all_inner_texts()
    parts = [re.split(r"\s*\t\s*", row.strip()) for row in rows]
    return {part[0]: float(part[-1].removesuffix(" %")) / 100 for part in parts}


def test_an_image_is_shown_as_it_is_and_as_the_model_sees_it_with_all_probabilities(
    page: Page, scratch: Scratch
) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:20] = np.random.default_rng(0).integers(60, 256, (20, 12))
    page.set_input_files("#file", image_file(pixels))
    page.wait_for_selector("#answer", state="visible")
    for name in ("seen", "own"):
        np.testing.assert_array_equal(canvas(page, name, 28, 28), np.stack([pixels] * 3, axis=-1))
    logits = np.asarray(scratch.logits(preprocess(pixels[None])))[0].astype(np.float64)
    powers = np.exp(logits - logits.max())
    shares = powers / powers.sum()
    # The page shows one decimal.
    expected = dict(zip(LABELS, shares, strict=True))
    assert shares_of(page) == pytest.approx(expected, abs=0.00051)
    assert LABELS[int(shares.argmax())] in page.inner_text("#headline")
    assert page.inner_text("#source") == "scratch, version 1"
    assert page.inner_text("#chosen") == "image.png"
    # The log of the preparation is there to be opened.
    assert page.text_content("#notes") == "taken as it is"
    assert not page.is_visible("#notes")


def test_a_garment_on_white_is_framed_and_none_is_no_certain_answer(page: Page) -> None:
    pixels = np.full((300, 200, 3), 255, np.uint8)
    pixels[60:240, 50:150] = 40
    page.set_input_files("#file", image_file(pixels))
    expect(page.locator("#notes")).to_contain_text("invert")
    seen = canvas(page, "seen", 28, 28)
    assert seen[14, 14, 0] > 150
    assert seen[0, 0, 0] < 30
    page.select_option("#framing", "none")
    expect(page.locator("#notes")).to_have_text("200 x 300 resized to 28 x 28made grey")
    page.select_option("#framing", "auto")
    page.set_input_files("#file", image_file(np.full((90, 90), 200, np.uint8), "wall.png"))
    expect(page.locator("#headline")).to_have_text("No garment found")
    assert "%" not in page.inner_text("#certainty")
    # Something else at the edge: the crop may be wrong, and the page says so in the open.
    pixels[:, :30] = 90
    page.set_input_files("#file", image_file(pixels))
    expect(page.locator("#caution")).to_contain_text("The crop may be wrong: ")


def test_a_file_that_is_not_an_image_is_refused_in_words_and_the_next_one_works(
    page: Page,
) -> None:
    tiff = image_file(np.zeros((40, 40), np.uint8), "scan.tiff", "tiff")
    page.set_input_files("#file", tiff)
    expect(page.locator("#problem")).to_have_text(
        "An image must be a PNG, JPEG, GIF, BMP or WebP file; this is a TIFF file. Save it as PNG "
        "or JPEG."
    )
    assert not page.is_visible("#answer")
    page.set_input_files("#file", grey(255))
    page.wait_for_selector("#answer", state="visible")
    assert not page.is_visible("#problem")
    # A browser fires no event for the same choice as before.
    assert page.input_value("#file") == ""


def test_several_images_get_a_table_whose_rows_open(page: Page) -> None:
    page.set_input_files("#file", [
        grey(90), TEXT_FILE, grey(200)
    ])  # fmt: skip
    rows = page.locator("#results tbody tr")
    expect(rows).to_have_count(3)
    assert page.locator("#results th").all_inner_texts() == [
        "Your image", "The model sees", "Answer", "Probability",
    ]  # fmt: skip
    assert "grey-90.png" in rows.nth(0).inner_text()
    assert re.search(r"\d %\s+(un)?certain|likely", rows.nth(0).inner_text())
    assert rows.nth(1).inner_text().startswith("notes.txt: An image must be a PNG,")
    assert rows.nth(2).locator("canvas").count() == 2
    assert canvas(page, "seen", 28, 28)[14, 14, 0] == 90
    rows.nth(2).locator("button").press("Enter")
    assert canvas(page, "seen", 28, 28)[14, 14, 0] == 200
    assert rows.nth(2).locator("button").get_attribute("aria-pressed") == "true"
    assert rows.nth(0).locator("button").get_attribute("aria-pressed") == "false"
    assert page.inner_text("#status") == "3 answers, 1 of them errors."


def transfer(page: Page, kind: str, items: str, target: str = "body") -> None:
    """Drop or paste on an element what lines of script add to `transfer`."""
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
            const about = {{bubbles: true, cancelable: true}};
            const event = {kind!r} === 'drop'
                ? new DragEvent('drop', {{dataTransfer: transfer, ...about}})
                : new ClipboardEvent('paste', {{clipboardData: transfer, ...about}});
            document.querySelector('{target}').dispatchEvent(event);
        }}"""
    )


@pytest.mark.parametrize(("kind", "target"), [("drop", "h1"), ("paste", "body")])
def test_images_are_dropped_anywhere_or_pasted(
    page: Page, address: str, kind: str, target: str
) -> None:
    transfer(page, kind, "transfer.items.add(file('image.png', 200));", target)
    page.wait_for_selector("#answer", state="visible")
    # A canvas is transparent around what was drawn, which is taken as white.
    assert canvas(page, "seen", 28, 28)[14, 14, 0] == 55
    assert page.url.rstrip("/") == address


def test_a_dropped_link_or_a_pasted_text_is_refused_with_what_to_do(page: Page) -> None:
    transfer(page, "drop", "transfer.setData('text/uri-list', 'http://127.0.0.1/boot.png');")
    problem = page.locator("#problem")
    expect(problem).to_have_text("Drop an image file, not a text or a link: save the image first.")
    transfer(page, "paste", "transfer.setData('text/plain', 'a boot');")
    expect(problem).to_contain_text("The clipboard has a text; copy an image")
    assert not page.is_visible("#answer")


def test_the_version_that_answered_is_shown_and_later_models_are_listed(
    page: Page, scratch: Scratch, served: Path
) -> None:
    page.set_input_files("#file", grey(255))
    expect(page.locator("#source")).to_have_text("scratch, version 1")
    # JavaScript's numbers do not hold it exactly.
    publish_scratch(scratch, served, "scratch", 2**53 + 1)
    publish_scratch(scratch, served, "a-later-one", 1)

    def ask_again() -> str:
        page.set_input_files("#file", grey(255))
        page.wait_for_timeout(200)
        return page.inner_text("#source") if page.is_visible("#answer") else ""

    wait_until(lambda: ask_again() == f"scratch, version {2**53 + 1}")
    assert page.inner_text("#version") == f"version {2**53 + 1}"
    page.focus("#framing")

    def names() -> list[str]:
        page.focus("#framing")
        page.focus("#model")
        page.wait_for_timeout(200)
        return page.locator("#model option").all_inner_texts()

    wait_until(lambda: "a-later-one" in names())
    # The choice stays.
    assert page.input_value("#model") == "scratch"


def test_a_model_of_own_images_says_what_it_knows_and_takes_what_the_browser_decodes(
    page: Page,
) -> None:
    page.select_option("#model", "z-colours")
    expect(page.locator("#labels")).to_have_text("The model knows: blue, green, red.")
    assert page.inner_text("#about") == (
        "Takes colour images, made 6 x 8 pixels, and names one of 3 classes. "
        "Right for 87.5 % of 1,200 validation examples."
    )
    expect(page.locator("#gallery")).to_be_hidden()
    expect(page.locator("#framings")).to_be_hidden()
    pixels = np.full((12, 16, 3), (250, 200, 10), np.uint8)
    page.set_input_files("#file", image_file(pixels, "sun.avif", "avif"))
    # The means of red, green and blue are 0.98, 0.78 and 0.04.
    expect(page.locator("#headline")).to_have_text("Uncertain: red or green?")
    found = canvas(page, "seen", 6, 8).astype(int)
    # AVIF is lossy.
    assert abs(found - (250, 200, 10)).max() < 8
    assert page.locator("#notes li").all_text_contents() == [
        "decoded by this browser: 16 x 12 to a PNG file of 16 x 12",
        "16 x 12 resized to 6 x 8",
    ]
    assert page.get_attribute("#seen", "aria-label") == (
        "sun.avif as the model sees it, 6 by 8 pixels"
    )


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.get_by_label(name.replace("_", " "), exact=True).fill(value)
    page.click("#row .primary")


def test_a_model_of_a_table_has_a_form_by_its_card(page: Page) -> None:
    page.select_option("#model", "z-houses")
    expect(page.locator("#images")).to_be_hidden()
    assert page.locator("#fields label").all_inner_texts() == ["rooms", "roof"]
    roof = page.get_by_label("roof", exact=True)
    assert roof.locator("option").all_inner_texts() == ["(missing)", "Slate", "Tin"]
    headline = page.locator("#headline")
    page.click("#fill")
    assert (page.get_by_label("rooms").input_value(), roof.input_value()) == ("2.5", "Slate")
    page.keyboard.press("Tab")
    page.click("#row .primary")
    # 10 * 2.5 + 5; and 10 * 3 where nothing is given.
    expect(headline).to_have_text("Price: 30")
    roof.select_option("Tin")
    fill(page, rooms="2000000")
    expect(headline).to_have_text("Price: 20,000,000")
    roof.select_option("Slate")
    fill(page, rooms="")
    expect(headline).to_have_text("Price: 35")
    assert not page.is_visible("#pictures")
    page.select_option("#model", "z-roofs")
    expect(page.locator("#answer")).to_be_hidden()
    fill(page, rooms="3", roof="Slate")
    # The logits are 30 and 35: 1 / (1 + exp(-5)) = 0.993; then 30 and 31, and 30.1.
    expect(headline).to_have_text("steep")
    assert page.inner_text("#certainty") == "99.3 % for steep: the model is certain."
    assert shares_of(page) == pytest.approx({"steep": 0.993, "flat": 0.007})
    fill(page, rooms="3.1", roof="Tin")
    expect(headline).to_have_text("Probably steep")
    fill(page, rooms="3.01")
    expect(headline).to_have_text("Uncertain: steep or flat?")


def test_rows_that_are_pasted_or_dropped_are_answered_as_a_table(page: Page) -> None:
    page.select_option("#model", "z-houses")
    expect(page.locator("#row")).to_be_visible()
    rows = "Id\\troof\\trooms\\n7\\tSlate\\t2\\n8\\tTin\\tNA\\n"
    transfer(page, "paste", f"transfer.setData('text/plain', '{rows}');")
    found = page.locator("#results tbody tr")
    expect(found).to_have_count(2)
    assert page.locator("#results thead").inner_text().split() == [
        "Row", "Price", "Id", "roof", "rooms",
    ]  # fmt: skip
    assert [row.split("\t") for row in found.all_inner_texts()] == [
        ["1", "25", "7", "Slate", "2"], ["2", "30", "8", "Tin", "NA"],
    ]  # fmt: skip
    page.fill("#table", "rooms,roof\nmany,Tin\n")
    page.click("#rows .primary")
    expect(page.locator("#problem")).to_contain_text("'many' is no number")
    transfer(page, "drop", "transfer.items.add(new File(['rooms;roof\\n1;Tin'], 'x.csv'));")
    expect(page.locator("#headline")).to_have_text("Price: 10")
    transfer(page, "drop", "transfer.items.add(new File([''], 'x.png', {type: 'image/png'}));")
    expect(page.locator("#problem")).to_contain_text("z-houses takes rows, not images")


def test_a_model_of_numbers_has_a_field_for_each(page: Page) -> None:
    page.select_option("#model", "z-linear")
    expect(page.locator("#fields label")).to_have_count(2)
    # 2 a - 3.4 b + 4.2; without a number the browser asks for it.
    fill(page, feature_1="1")
    assert not page.is_visible("#answer")
    fill(page, feature_2="-1")
    expect(page.locator("#headline")).to_have_text("prediction: 9.6")


def wait_until(holds: Callable[[], bool]) -> None:
    """The server looks for new versions once a second."""
    end = time.monotonic() + ANSWER_MS / 1000
    while not holds():
        assert time.monotonic() < end
