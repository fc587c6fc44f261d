"""Recognises texts that are numbers, dates or times to a person, and names the option for them."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection

from pandas.tseries.api import guess_datetime_format

from pipelines.basics.text import shown

__all__ = ["look_alike", "remedy"]

_CURRENCY = r"[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|Rs\.?"
_NUMBER = re.compile(
    rf"(?P<before>{_CURRENCY}|[~<>≈(]|[+\-−])*\s?"
    r"(?P<number>[+\-−]?\d(?:[\d.,'’_\s]*\d)?[.,]?)"
    rf"\s?(?P<after>%|‰|°[CF]?|{_CURRENCY}|\)|[^\W\d_]{{1,4}}[²³2-3]?)?"
)
_GROUPS = re.compile(r"\d{1,3}(?P<mark>[,.'’\s_])\d{3}(?:(?P=mark)\d{3})*(?:(?P<point>[.,])\d*)?")
# They are factors, and dropping them would change the number.
_MULTIPLES = frozenset(["k", "K", "M", "Mio", "mio", "mn", "B", "bn", "Mrd"])
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


def look_alike(texts: Collection[str]) -> tuple[str, str, str] | None:
    """Find a text that looks like a number, date or time as most of the others do.

    Args:
        texts: the different texts of a column, which are no plain numbers and dates.

    Returns:
        The first such text, its kind and its remedy; or None if at most half of them are alike.
    """
    forms = {text: _form(text) for text in sorted(texts)}
    common = Counter(form for form in forms.values() if form).most_common(1)
    if not common or 2 * common[0][1] <= len(texts):
        return None
    form = common[0][0]
    text = next(text for text in forms if forms[text] == form)
    return text, form[0], _remedy_of(text, form)


def _form(text: str) -> tuple[str, str, str] | None:
    """The kind of a text, and what stands before and after the number; None for mere text."""
    if len(text) > 100:
        return None
    for kind, pattern in (("time of day", _TIME), ("date", _DATE)):
        if pattern.fullmatch(text):
            return kind, "", ""
    found = _NUMBER.fullmatch(text)
    return found and ("number", found["before"] or "", found["after"] or "")


def _remedy_of(text: str, form: tuple[str, str, str]) -> str:
    kind, before, after = form
    if kind == "time of day":
        return "write it as a number, such as minutes"
    if kind == "date":
        return f"pass date_format={' or '.join(_date_formats(text))}"
    found = _NUMBER.fullmatch(text)
    options = _separators(found["number"].lstrip("+-−")) if found else None
    if options is None or "(" in before or after in _MULTIPLES:
        return "write it as a plain number, such as -1234.5"
    if units := [unit for unit in (before, after) if unit and unit not in "+-−"]:
        options.append(f"units={units!r}")
    if options[:1] == ["thousands=','"] and text.count(",") == 1 and "." not in text:
        options[-1] += ", or decimal=',' if that is the decimal point"
    return f"pass {' and '.join(options)}" if options else "write it as a plain number"


def _separators(number: str) -> list[str] | None:
    """The options for the separators within a number; None if no option reads it."""
    found = _GROUPS.fullmatch(number)
    if found and found["point"] != found["mark"]:
        mark = " " if found["mark"].isspace() else found["mark"]
        return [f"thousands={mark!r}", *(["decimal=','"] if found["point"] == "," else [])]
    if re.fullmatch(r"\d+,\d*", number):
        return ["decimal=','"]
    return [] if re.fullmatch(r"\d+(\.\d*)?", number) else None


def _date_formats(text: str) -> list[str]:
    """The formats that a date may have, with the month or the day first."""
    with warnings.catch_warnings(action="ignore"):
        guesses = [guess_datetime_format(text, dayfirst=dayfirst) for dayfirst in (False, True)]
    return [repr(guess) for guess in dict.fromkeys(guesses) if guess] or ["'%d.%m.%Y' or the like"]
