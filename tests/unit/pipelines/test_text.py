"""pipelines/basics/text.py: any text in one short line."""

from __future__ import annotations

import numpy as np

from pipelines.basics.text import one_line, shown


def test_any_text_becomes_one_line_of_printable_characters_up_to_a_limit() -> None:
    assert one_line("a\n\tb\x1b[2J\u202ec\udcff é") == r"a b\x1b[2J\u202ec\udcff é"
    assert one_line("x" * 1000, 10) == "xxxxxxxxxx..."
    assert one_line("x" * 10, 10) == "x" * 10


def test_a_value_is_shown_in_one_short_line_however_large_or_nested_it_is() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert shown(nested) == "[[[[[[[...]]]]]]]"
    assert shown("ab\n") == r"'ab\n'"
    assert "\n" not in shown(np.eye(3))
    assert len(shown("x" * 100_000)) <= 100
    assert shown([1] * 1000) == "[1, 1, 1, 1, 1, 1, ...]"
    assert shown(10**5000) == "int of too many digits"
