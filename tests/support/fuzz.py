"""Feeds a reader damaged inputs: in this process, or as a program that reports its resources.

python -m tests.support.fuzz READER COUNT SEED
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from tests.support.readers import Reader

# For one input; a busy machine may need seconds where milliseconds are usual.
LIMIT_S = 30


@dataclass
class Tally:
    """The outcome of a reader's inputs.

    Attributes:
        tried: number of inputs.
        answers: number of right answers.
        errors: number of clear errors.
        seconds: time for all inputs.
        slowest_s: time for the slowest input.
        growth_mb: growth of the process's peak memory.
        peak_mb: peak memory of the process.
    """

    tried: int = 0
    answers: int = 0
    errors: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    peak_mb: float = 0.0


class HangError(Exception):
    """An input took longer than the limit."""


def fuzz(kind: type[Reader], folder: Path, count: int, seed: int) -> Tally:
    """Feed `count` inputs, the valid ones first.

    Raises:
        AssertionError: there was neither a right answer nor a clear error; names the input.
    """
    reader, chance, tally = kind(folder), random.Random(seed), Tally()
    samples = reader.samples()
    before_mb, start_s = _peak_mb(), time.monotonic()
    for number in range(count):
        sample = samples[number % len(samples)]
        data = reader.damaged(sample, samples, chance) if number >= len(samples) else sample
        began_s = time.monotonic()
        try:
            with limited(), warnings.catch_warnings():
                warnings.simplefilter("error")
                answered = reader.attempt(data)
        except Exception as error:
            kept = Path(tempfile.gettempdir(), f"fuzz-{kind.__name__}-{seed}-{number}")
            kept.write_bytes(data)
            raise AssertionError(
                f"{kind.__name__}, input {number} of seed {seed}, kept in {kept}, {data[:300]!r}: "
                f"{type(error).__name__}: {str(error)[:2000]}"
            ) from error
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began_s)
        tally.tried += 1
        tally.answers += answered
        tally.errors += not answered
        assert answered or number >= len(samples), f"valid sample {number} was refused"
    gc.collect()
    tally.seconds = time.monotonic() - start_s
    tally.peak_mb = _peak_mb()
    tally.growth_mb = tally.peak_mb - before_mb
    return tally


@contextmanager
def limited() -> Iterator[None]:
    """Raise HangError in a block that takes longer than the limit."""

    def end(number: int, frame: FrameType | None) -> None:
        raise HangError(f"more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _peak_mb() -> float:
    """Return this program's own peak; `getrusage` would start from the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(name: str, count: str, seed: str) -> None:
    """Print the tally as a line of JSON."""
    # One at a time: TensorFlow needs more memory than the readers that are measured without it.
    homes = (
        importlib.import_module(f"tests.support.{home}")
        for home in ("readers", "text_readers", "tensorflow_readers")
    )
    kind = next(getattr(home, name) for home in homes if hasattr(home, name))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(fuzz(kind, Path(folder), int(count), int(seed)))))


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
