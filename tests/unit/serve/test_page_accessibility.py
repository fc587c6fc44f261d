"""The web page for all: contrasts, roles and names, the keyboard, narrow screens, the camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import FileChooser, Page, Route, expect

from tests.support.contrast import faint_borders, faint_focus, faint_texts
from tests.support.page_files import TEXT_FILE, grey, image_file

pytestmark = pytest.mark.slow

CONTROLS = "button:not(.plain, .primary), .button, select, input, textarea, #drop"
SAMPLES = [
    {"pixels": [[0] * 28] * 28, "label": "bag"},
    {"pixels": [[9] * 28] * 28, "label": "coat"},
]


def load_with_samples(page: Page) -> None:
    """Load the page again, with two test images whatever data this machine has."""
    page.route("**/page/samples", lambda route: route.fulfill(json=SAMPLES))
    page.reload()
    page.wait_for_selector("#samples button")


def states(page: Page) -> Iterator[str]:
    """Bring the page into one state after the other."""
    load_with_samples(page)
    yield "start"
    page.click("#samples button >> nth=1")
    page.wait_for_selector("#answer")
    yield "a test image"
    page.set_input_files("#file", image_file(np.full((90, 90), 200, np.uint8), "wall.png"))
    expect(page.locator("#headline")).to_have_text("No garment found")
    page.click("#log summary")
    yield "no garment"
    pixels = np.full((300, 200), 255, np.uint8)
    pixels[60:240, 50:150] = 40
    pixels[:, :30] = 90
    page.set_input_files("#file", [image_file(pixels), TEXT_FILE])
    page.wait_for_selector("#results")
    yield "a table, an error and a doubt"
    page.set_input_files("#file", TEXT_FILE)
    page.wait_for_selector("#problem")
    page.click("#open-camera")
    page.wait_for_selector("#video")
    yield "an error and the camera"
    page.select_option("#model", "z-houses")
    page.wait_for_selector("#row")
    page.click("#many-rows summary")
    page.fill("#table", "rooms,roof\n1,Tin\n2,Slate\n")
    page.click("#rows .primary")
    page.wait_for_selector("#results")
    yield "rows"


def check_looks(page: Page, state: str, width: int) -> None:
    # A pointer on a button would change its colours.
    page.mouse.move(0, 0)
    assert not faint_texts(page), state
    assert not faint_borders(page, CONTROLS), state
    assert page.evaluate("document.documentElement.scrollWidth") <= width, state


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
def test_texts_controls_and_widths_in_all_states(page: Page, width: int, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 568})
    for state in states(page):
        check_looks(page, state, width)


@pytest.mark.long
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_controls_and_widths_on_more_screens(page: Page, width: int, scheme: Any) -> None:
    test_texts_controls_and_widths_in_all_states(page, width, scheme)


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_the_page_is_used_by_keyboard_alone_with_a_ring_around_the_focus(
    page: Page, scheme: Any
) -> None:
    page.emulate_media(color_scheme=scheme)
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    load_with_samples(page)

    def tab_to(selector: str) -> None:
        for _ in range(12):
            page.keyboard.press("Tab")
            assert not faint_focus(page)
            if page.locator(selector).evaluate("(element) => element === document.activeElement"):
                return
        pytest.fail(f"no way to {selector} by the tabulator")

    tab_to("#model")
    tab_to("#file")
    page.keyboard.press("Enter")
    while not choosers:
        page.wait_for_timeout(20)
    choosers[0].set_files([grey(90), grey(200)])
    page.wait_for_selector("#results")
    tab_to("#results")
    tab_to("#results tr:nth-child(2) button")
    page.keyboard.press("Space")
    assert page.get_attribute("#seen", "aria-label") == (
        "grey-200.png as the model sees it, 28 by 28 pixels"
    )
    tab_to("#log summary")
    page.keyboard.press("Enter")
    assert page.is_visible("#notes")
    tab_to("#samples li:nth-child(2) button")
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_have_text("test image 2")
    expect(page.locator("#results")).to_be_hidden()
    # Its answer follows the click on a phone too, where it is above the test images.
    assert page.locator("#headline").bounding_box()["y"] >= 0  # type: ignore[index]


def test_everything_has_a_role_and_a_name_and_only_a_summary_is_announced(page: Page) -> None:
    load_with_samples(page)
    page.click("#samples button >> nth=1")
    page.wait_for_selector("#answer")
    for role, name in (
        ("combobox", "Model"),
        ("combobox", "Framing"),
        ("button", "Choose images"),
        ("button", "Use camera"),
        ("button", "test image 1: bag"),
        ("region", "Answer"),
        ("img", "test image 2 as the model sees it, 28 by 28 pixels"),
        ("table", "Probabilities of the classes"),
        ("heading", "Try a model"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, name  # type: ignore[arg-type]
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("button", pressed=True).get_attribute("aria-label") == (
        "test image 2: coat"
    )
    live = page.locator("[aria-live], [role=status], [role=alert]")
    assert [one.get_attribute("id") for one in live.all()] == ["status", "problem"]
    said = page.inner_text("#status")
    assert said.startswith(page.inner_text("#headline"))
    assert "\n" not in said


def test_a_request_that_takes_long_is_shown_and_a_later_one_wins(page: Page) -> None:
    held: list[Route] = []

    def hold_two(route: Route) -> None:
        if len(held) < 2:
            held.append(route)
        else:
            route.continue_()

    page.route("**/page/prepare*", hold_two)
    page.set_input_files("#file", grey(90))
    expect(page.locator("#said")).to_have_class("busy")
    assert page.get_attribute("#said", "aria-busy") == "true"
    assert page.inner_text("#status") == "Reading grey-90.png …"
    # Of a model of rows it is no answer.
    page.select_option("#model", "z-houses")
    page.wait_for_selector("#row", state="visible")
    held[0].continue_()
    expect(page.locator("#said")).not_to_have_class("busy")
    assert page.get_attribute("#said", "aria-busy") is None
    assert not page.is_visible("#answer")
    page.select_option("#model", "scratch")
    page.wait_for_selector("#images", state="visible")
    page.set_input_files("#file", grey(90))
    expect(page.locator("#said")).to_have_class("busy")
    page.set_input_files("#file", grey(200))
    page.wait_for_selector("#answer", state="visible")
    held[1].continue_()
    page.wait_for_timeout(200)
    assert page.get_attribute("#own", "aria-label") == "grey-200.png"


def test_the_answer_is_in_view_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 568})
    load_with_samples(page)
    page.set_input_files("#file", grey(200))
    page.wait_for_selector("#answer")
    expect(page.locator("#headline")).to_be_in_viewport(ratio=1)
    expect(page.locator("#seen")).to_be_in_viewport(ratio=1)
    # The test images are below the answer.
    page.click("#samples button >> nth=0")
    expect(page.locator("#chosen")).to_have_text("test image 1")
    expect(page.locator("#headline")).to_be_in_viewport(ratio=1)
    expect(page.locator("#seen")).to_be_in_viewport(ratio=1)


def test_a_picture_of_the_camera_is_answered(page: Page) -> None:
    page.click("#open-camera")
    expect(page.locator("#take-picture")).to_be_focused()
    expect(page.locator("#answer")).to_be_hidden()
    while not page.evaluate("document.querySelector('#video').videoWidth"):
        page.wait_for_timeout(50)
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer")
    assert page.inner_text("#chosen") == "camera.png"
    assert not page.is_visible("#camera")
    assert page.evaluate("document.querySelector('#video').srcObject") is None
    expect(page.locator("#open-camera")).to_be_focused()
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = async () => "
        "{ throw new DOMException('', 'NotAllowedError'); }; }"
    )
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_have_text(
        "The browser does not let this page use the camera. Allow it beside the address, and try "
        "again."
    )


def test_without_a_camera_there_is_no_button_for_one(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.add_init_script("navigator.mediaDevices.enumerateDevices = async () => []")
    page.goto(address)
    page.wait_for_selector("#drop", state="visible")
    assert not page.is_visible("#open-camera")
    page.close()
