"""The name that a user may have meant."""

from __future__ import annotations

import pytest

from tfd2l.common.suggestions import did_you_mean

FLAGS = ["--epochs", "--batch-size", "--lr", "--run-dir", "--data-dir", "--jit-compile",
         "--no-jit-compile", "--export-dir"]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--epoch", "--epochs"),  # letters
        ("--EPOCHS", "--epochs"),
        ("--batch_size", "--batch-size"),
        ("--bacth-size", "--batch-size"),
        ("--batch", "--batch-size"),  # a part of the name
        ("--learning-rate", "--lr"),  # another tool's name
        ("--output", "--export-dir"),
        ("--jit", "--jit-compile"),  # never the flag that switches off
        ("--no-jit", "--no-jit-compile"),
    ],
)
def test_a_likely_name_is_suggested(given: str, meant: str) -> None:
    assert did_you_mean(given, FLAGS) == f"; did you mean {meant}?"


@pytest.mark.parametrize("given", ["--colour", "--dir", "", "--", "-x"])
def test_nothing_is_suggested_where_nothing_or_too_much_is_like_it(given: str) -> None:
    assert did_you_mean(given, FLAGS) == ""


def test_another_tools_name_means_what_the_command_has() -> None:
    assert did_you_mean("--output", ["--picture"]) == "; did you mean --picture?"
    assert did_you_mean("batch-size", ["batch_size"]) == "; did you mean batch_size?"
