"""`python -m tfd2l.data_service`: a dispatcher with a worker, and a further worker."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support import ROOT
from tfd2l.data_service.command import main

ADDRESS = r"(127\.0\.0\.1:\d+)"


@pytest.mark.slow
def test_a_service_in_a_process_of_its_own_prepares_batches_until_a_signal_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tfd2l.data_service", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            found = re.match(f"tf.data service at {ADDRESS}; ", process.stdout.readline())
            assert found is not None
            # A variable goes along with its value.
            scale = tf.Variable(3.0)
            batches = tf.data.Dataset.range(3).batch(2).map(lambda x: (tf.cast(x, tf.float32),))
            mapped = d2l.map_on_service(batches, lambda x: (x * scale,), found[1])
            assert [x.numpy().tolist() for (x,) in mapped] == [[0, 3], [6]]
        finally:
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


class EndedEvent:
    """In place of the event that a signal sets."""

    def set(self) -> None: ...

    def wait(self) -> None: ...


def test_a_further_worker_joins_the_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    joined: list[int] = []
    dispatcher = tf.data.experimental.service.DispatchServer()

    class Joined(EndedEvent):
        def wait(self) -> None:
            joined.append(dispatcher._num_workers())

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(threading, "Event", Joined)
    address = dispatcher.target.removeprefix("grpc://").replace("localhost", "127.0.0.1")
    try:
        assert main(["--dispatcher", address]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert joined == [1]
    assert capsys.readouterr().out.startswith(f"a worker of the tf.data service at {address}; ")


def test_a_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert f"--port must be free; {port} is taken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dispatcher", "nowhere"], "--dispatcher must be HOST:PORT; got 'nowhere'"),
        (["--host", "a b"], "--host must be a name or an address; got 'a b'"),
        (["--port", "70000"], "--port must be a whole number from 0 to 65535; got '70000'"),
    ],
)
def test_wrong_flags_are_refused_in_a_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(flags) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
