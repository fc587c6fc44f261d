"""Measures the contrasts of a page in a browser, by the computed styles.

Source: WCAG 2.2, success criteria 1.4.3 (text) and 1.4.11 (controls and focus).
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

__all__ = ["faint_borders", "faint_focus", "faint_texts"]

# A colour blended over those behind it, and the contrast of two colours.
_SCRIPT = """
const parsed = (text) => {
  const [red, green, blue, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
  return { rgb: [red, green, blue], alpha };
};
const over = (front, back, alpha) => front.map((value, i) => alpha * value + (1 - alpha) * back[i]);
const backgroundOf = (element) => {
  if (!element) return [255, 255, 255];
  const { rgb, alpha } = parsed(getComputedStyle(element).backgroundColor);
  return alpha === 1 ? rgb : over(rgb, backgroundOf(element.parentElement), alpha);
};
const opacityOf = (element) =>
  element ? getComputedStyle(element).opacity * opacityOf(element.parentElement) : 1;
const luminance = (rgb) => {
  const [red, green, blue] = rgb.map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (one, other) => {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};
const seen = [...document.querySelectorAll('body *')].filter((element) =>
  element.checkVisibility() && getComputedStyle(element).clipPath === 'none');
const name = (element) =>
  `${element.tagName} ${element.id} ${element.textContent.trim().slice(0, 30)}`;
"""


def faint_texts(page: Page) -> list[Any]:
    """The visible texts with a contrast below 4.5, each with its contrast."""
    found: list[Any] = page.evaluate(f"""() => {{
        {_SCRIPT}
        return seen.filter((element) => [...element.childNodes].some((node) =>
            node.nodeType === Node.TEXT_NODE && node.data.trim())).map((element) => {{
            const back = backgroundOf(element);
            const front = parsed(getComputedStyle(element).color).rgb;
            return [name(element), contrast(over(front, back, opacityOf(element)), back)];
        }}).filter(([, ratio]) => ratio < 4.5);
    }}""")
    return found


def faint_borders(page: Page, selector: str) -> list[Any]:
    """The visible controls whose border or filling has a contrast below 3 to what is around it."""
    found: list[Any] = page.evaluate(f"""() => {{
        {_SCRIPT}
        const wanted = seen.filter((element) => element.matches({selector!r}));
        if (!wanted.length) return ['nothing matches'];
        return wanted.map((element) => {{
            const around = backgroundOf(element.parentElement);
            const border = parsed(getComputedStyle(element).borderTopColor).rgb;
            return [name(element), contrast(border, around)];
        }}).filter(([, ratio]) => ratio < 3);
    }}""")
    return found


def faint_focus(page: Page) -> list[Any]:
    """The focused element, if its ring is thinner than 2 pixels or has a contrast below 3."""
    found: list[Any] = page.evaluate(f"""() => {{
        {_SCRIPT}
        const focused = document.activeElement;
        const hidden = focused.matches('.visually-hidden');
        const element = hidden ? focused.nextElementSibling : focused;
        const style = getComputedStyle(element);
        const ratio = contrast(parsed(style.outlineColor).rgb, backgroundOf(element.parentElement));
        const isSolid = style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2;
        return isSolid && ratio >= 3 ? [] : [name(element), style.outline, ratio];
    }}""")
    return found
