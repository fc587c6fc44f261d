"""Answers and errors for image files, as text and as JSON values."""

from __future__ import annotations

import numpy as np

from tfd2l.predict.images import Prepared
from tfd2l.predict.labelled import LabelledImage, UnreadableImage, printable_name

IMAGE = Prepared(np.zeros((28, 28), np.uint8), ("made grey", "resized"))


def test_an_answer_has_three_lines_and_at_most_three_classes() -> None:
    answer = LabelledImage("a.png", IMAGE, ["bag", "coat", "boot", "shirt"], [0.5, 0.25, 0.2, 0.05])
    assert answer.as_text().splitlines() == [
        "a.png: bag 0.500",
        "  then   coat 0.250, boot 0.200",
        "  image  made grey; resized",
    ]


def test_a_model_may_have_a_single_class() -> None:
    answer = LabelledImage("a.png", IMAGE, ["bag"], [1.0])
    assert "  then   nothing else\n" in answer.as_text()
    assert answer.as_json() == {
        "file": "a.png",
        "label": "bag",
        "probability": 1.0,
        "classes": ["bag"],
        "scores": [1.0],
        "notes": ["made grey", "resized"],
    }


def test_an_error_has_the_files_name() -> None:
    assert UnreadableImage("a.png", "damaged").as_json() == {"file": "a.png", "error": "damaged"}


def test_a_name_with_control_characters_is_escaped() -> None:
    assert printable_name("ein Stiefel.png") == "ein Stiefel.png"
    assert printable_name("a\n\x1b[31m.png") == r"'a\n\x1b[31m.png'"
