"""What is kept off the terminal, and what is not."""

from __future__ import annotations

import os
import sys

import pytest

from tfd2l.common.startup import quiet_start


def write(text: str) -> None:
    """As C++ does."""
    os.write(2, text.encode())


def test_what_is_written_inside_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_start():
        write("chatter")
        print("chatter", file=sys.__stderr__)
        sys.__stderr__.flush()  # type: ignore[union-attr]
    write("after")
    assert capfd.readouterr() == ("", "after")


def test_if_it_fails_all_of_it_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        write("why")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), quiet_start():
        fail()
    write(" and after")
    assert capfd.readouterr() == ("", "why and after")


def test_tensorflow_is_asked_to_be_quiet_unless_the_user_asked_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    with quiet_start():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet_start():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
