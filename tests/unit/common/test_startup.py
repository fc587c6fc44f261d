"""TensorFlow's start: the hidden messages, and the paused garbage collector."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import pytest

from tfd2l.common.startup import collector_paused, quiet_start


def write(text: str) -> None:
    """Write to standard error as C++ does."""
    os.write(2, text.encode())


def test_output_inside_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_start():
        write("chatter")
        print("chatter", file=sys.__stderr__)
        sys.__stderr__.flush()  # type: ignore[union-attr]
    write("after")
    assert capfd.readouterr() == ("", "after")


def test_output_inside_is_shown_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        write("why")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), quiet_start():
        fail()
    write(" and after")
    assert capfd.readouterr() == ("", "why and after")


def test_the_log_level_is_set_unless_the_user_has_set_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    with quiet_start():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet_start():
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.fixture
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_the_collector_is_paused_inside_and_ignores_the_objects_made_there() -> None:
    before = gc.get_freeze_count()
    with collector_paused():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)


@pytest.mark.usefixtures("collector")
def test_the_collector_stays_off_if_it_was_off_and_is_on_again_after_an_error() -> None:
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()
    gc.enable()
    with pytest.raises(ZeroDivisionError), collector_paused():
        raise ZeroDivisionError
    assert gc.isenabled()
