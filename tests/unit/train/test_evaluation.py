"""The evaluation of a finished run, by hand, and the reasons against its publication."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.outputs import ClassOutput, NumberOutput
from tfd2l.export.publish import CARD_FILE
from tfd2l.train.evaluation import Evaluation, evaluate, reason_against

CLASSES = ClassOutput(("a", "b", "c"))


def evaluation(value: float, guess: float = 0.5, metric: Any = "accuracy") -> Evaluation:
    return Evaluation(metric, value, guess, 10, "the same examples")


def served(base: Path, **facts: Any) -> Path:
    """A version 3 whose card has these facts of its evaluation."""
    card = base / "3" / CARD_FILE
    card.parent.mkdir(parents=True)
    known = {"metric": "accuracy", "value": 0.8, "sha256": "the same examples"}
    card.write_text(json.dumps({"evaluation": {**known, **facts}}))
    return base


def test_classes_are_right_or_wrong_and_the_most_frequent_one_is_a_guess() -> None:
    logits = np.array([[2, 1, 0], [0, 3, 1], [0, 0, 1], [1, 0, 0]], np.float32)
    found = evaluate(CLASSES, logits, np.array([0, 1, 1, 1]), {"x": np.zeros(4)})
    assert (found.metric, found.value, found.guess, found.num_examples) == (
        "accuracy",
        0.5,
        0.75,
        4,
    )


def test_numbers_have_a_root_mean_square_error_and_their_mean_is_a_guess() -> None:
    found = evaluate(NumberOutput(), np.array([1, 2, 7], "f4"), np.array([1, 2, 4]), {})
    # sqrt((0 + 0 + 9) / 3), and the deviation of 1, 2 and 4 about 7/3.
    assert found.metric == "rmse"
    np.testing.assert_allclose([found.value, found.guess], [3**0.5, (14 / 9) ** 0.5], rtol=1e-6)


def test_other_examples_have_another_hash() -> None:
    logits, ids = np.eye(3, dtype=np.float32)[:2], np.array([0, 1])
    texts = np.array(["x", "y"], np.object_)
    examples: list[tuple[Any, dict[str, Any]]] = [
        (ids, {"x": np.zeros(2)}),
        (ids, {"x": np.ones(2)}),
        (ids, {"y": np.zeros(2)}),
        (ids[::-1], {"x": np.zeros(2)}),
        (ids, {"x": texts}),
        (ids, {"x": texts[::-1]}),
    ]
    hashes = {evaluate(CLASSES, logits, targets, raw).sha256 for targets, raw in examples}
    assert len(hashes) == 6
    again = evaluate(CLASSES, logits[::-1], ids, {"x": np.zeros(2)})
    assert again.sha256 in hashes


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (evaluation(0.5), "no better than guessing: accuracy 0.5, where one constant answer has"),
        (evaluation(3.0, 2.0, "rmse"), "no better than guessing: rmse 3, where one constant"),
        (evaluation(0.51), None),
        (evaluation(1.9, 2.0, "rmse"), None),
        # A single class, or the same number everywhere, leaves nothing to guess.
        (evaluation(1.0, 1.0), None),
        (evaluation(0.1, 0.0, "rmse"), None),
    ],
)  # fmt: skip
def test_a_model_must_beat_one_constant_answer(
    found: Evaluation, words: str | None, tmp_path: Path
) -> None:
    reason = reason_against(found, tmp_path / "none")
    assert reason is None if words is None else words in str(reason)


@pytest.mark.parametrize(
    ("value", "facts", "refused"),
    [
        (0.79, {}, True),
        (0.80, {}, False),
        (0.81, {}, False),
        (0.79, {"sha256": "others"}, False),
        (0.79, {"metric": "rmse"}, False),
        (0.79, {"value": "good"}, False),
    ],
)
def test_a_model_must_not_be_worse_than_the_served_one_on_the_same_examples(
    value: float, facts: dict[str, Any], refused: bool, tmp_path: Path
) -> None:
    reason = reason_against(evaluation(value), served(tmp_path, **facts))
    expected = f"worse than version 3 of {tmp_path} on the same examples: accuracy {value:.4g}"
    assert (expected in str(reason)) == refused


@pytest.mark.parametrize("text", ["", "[1]", '{"evaluation": 5}'])
def test_a_card_of_another_form_says_nothing(text: str, tmp_path: Path) -> None:
    (served(tmp_path) / "3" / CARD_FILE).write_text(text)
    assert reason_against(evaluation(0.6), tmp_path) is None
