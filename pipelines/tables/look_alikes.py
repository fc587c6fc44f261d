"""Recognises texts that are numbers, dates or times to a person, and names the option for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from pipelines.basics.text import shown

__all__ = ["look_alike", "remedy"]

_CURRENCY = r"[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|Rs\.?"
_NUMBER = re.compile(
    rf"(?P<before>{_CURRENCY}|[~<>≈(]|[+\-−])*\s?"
    r"(?P<number>[+\-−]?\d(?:[\d.,'’_\s]*\d)?[.,]?)"
    rf"\s?(?P<after>%|‰|°[CF]?|{_CURRENCY}|\)|[^\W\d_]{{1,4}}[²³2-3]?)?"
)
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(\s?[AaPp]\.?[Mm]\.?)?")
_DATE = re.compile(
    r"(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](\d{4}|\d{2})"
    r"|\d{1,2}[ .-]+[^\W\d_]{3,9}\.?[ ,.-]+\d{2,4}|[^\W\d_]{3,9}\.? \d{1,2},? \d{4})([T ,].*)?"
)
_MISSING = frozenset(
    {"?", "-", "--", "---", ".", "..", "*", "x", "na", "none", "missing", "unknown"}
)


def remedy(text: str) -> str | None:
    """Name the option by which a text is read as the number, date or gap that a person sees.

    Example:
        >>> remedy("1,200")
        "pass thousands=',', or decimal=',' if that is the decimal point"
        >>> remedy("$5.50")
        "pass units=['$']"
        >>> remedy("Slate")
    """
    if text.lower() in _MISSING:
        return f"pass na_values=[{shown(text)}] if it means 'no value'"
    form = _form(text)
    return None if form is None else _remedy_of(text, form)


def look_alike(texts: Collection[str]) -> tuple[str, str] | None:
    """Find a text that looks like a number, date or time as most of the others do.

    Args:
        texts: the different texts of a column, which are no plain numbers and dates.

    Returns:
        The first such text and its remedy; or None if less than half of the texts are alike.
    """
    forms = {text: _form(text) for text in sorted(texts)}
    common = Counter(form for form in forms.values() if form).most_common(1)
    if not common or 2 * common[0][1] <= len(texts):
        return None
    form = common[0][0]
    text = next(text for text in forms if forms[text] == form)
    return text, _remedy_of(text, form)


def _form(text: str) -> tuple[str, str, str] | None:
    """The kind of a text, and what stands before and after the number; None for mere text."""
    if len(text) > 100:
        return None
    for kind, pattern in (("time", _TIME), ("date", _DATE)):
        if pattern.fullmatch(text):
            return kind, "", ""
    found = _NUMBER.fullmatch(text)
    return found and ("number", found["before"] or "", found["after"] or "")


def _remedy_of(text: str, form: tuple[str, str, str]) -> str:
    kind, before, after = form
    if kind == "time":
        return "write it as a number, such as minutes"
    if kind == "date":
        return "pass date_format, such as date_format='%d.%m.%Y'"
    found = _NUMBER.fullmatch(text)
    number = found["number"] if found else text
    options = _separators(re.sub(r"^[+\-−]", "", number))
    if units := [unit for unit in (before, after) if unit and unit not in "+-−()"]:
        options.append(f"units={units!r}")
    if not options:
        return "write it as a plain number"
    if options[0].startswith("thousands=','") and re.fullmatch(r"\D*\d{1,3},\d{3}\D*", text):
        return f"pass {' and '.join(options)}, or decimal=',' if that is the decimal point"
    return f"pass {' and '.join(options)}"


def _separators(number: str) -> list[str]:
    """The options for the separators within a number."""
    marks = re.sub(r"\d", "", number)
    if not marks or marks == ".":
        return []
    last = marks[-1]
    if len({*marks}) == 1 and re.fullmatch(r"\d{1,3}(\D\d{3})+", number):
        return [_thousands(last)]
    thousands = marks[0] if len({*marks}) > 1 or len(marks) > 1 else None
    found = [] if thousands is None else [_thousands(thousands)]
    return found + ([f"decimal={last!r}"] if last == "," else [])


def _thousands(mark: str) -> str:
    return f"thousands={' ' if mark.isspace() else mark!r}"
