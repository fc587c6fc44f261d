"""Feed a reader damaged inputs: in this process, or as a program that reports what it took.

python fuzz.py READER COUNT SEED
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

# Of one input; a machine that others use too may take long over what takes milliseconds.
LIMIT_S = 30
# If not even Python's signals get through.
HARD_LIMIT_S = 120


@dataclass
class Tally:
    """What became of the inputs of a reader.

    Attributes:
        tried: inputs.
        answers: those that had an answer, which was right.
        errors: those that had a clear error.
        seconds: all of it.
        slowest_s: the longest that one took.
        growth_mb: by how much they raised the process's peak memory.
        peak_mb: that peak.
    """

    tried: int = 0
    answers: int = 0
    errors: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    growth_mb: float = 0.0
    peak_mb: float = 0.0


class HangError(Exception):
    """An input took longer than it may."""


def fuzz(kind: type[Reader], folder: Path, count: int, seed: int) -> Tally:
    """Feed so many inputs, the valid ones first.

    Raises:
        AssertionError: with the input, if anything but a right answer or a clear error came.
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
    """Raise HangError in what takes longer than the limit; end the process if that doesn't help."""

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
    """Of this program: what the system's own function says goes on from the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(name: str, count: str, seed: str) -> None:
    """Print the tally as a line of JSON."""
    # TensorFlow takes more memory than what is measured here.
    homes = (
        importlib.import_module(home) for home in ("readers", "text_readers", "tensorflow_readers")
    )
    kind = next(getattr(home, name) for home in homes if hasattr(home, name))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asdict(fuzz(kind, Path(folder), int(count), int(seed)))))


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
