"""Readers give the right answer or a clear error for any input, in bounded time and memory.

`tests/support/readers.py` and its siblings check the answers; a failure names the input.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import fuzz, readers, run_python, tensorflow_readers, text_readers
from tests.support.fuzz import Tally
from tests.support.readers import Reader

READERS = [*readers.READERS, *text_readers.READERS, *tensorflow_readers.READERS]
# Inputs of a reader in the long run, by what it has found and how long it takes; others get 2,000.
MANY = {
    "Idx": 32_000, "IdxFiles": 12_000, "Table": 4_000, "Houses": 2_000, "Settings": 10_000,
    "Flags": 8_000, "Images": 14_000,
}  # fmt: skip
# In each run of the tests; others get 300. pandas takes 30 ms for a table, however small.
FEW = {"Warmup": 50, "Table": 100, "Houses": 100}
ALL = 100_000
SEED = 1


@pytest.mark.parametrize("kind", READERS, ids=lambda kind: kind.__name__)
def test_damaged_inputs_get_right_answers_or_clear_errors(
    kind: type[Reader], tmp_path: Path
) -> None:
    tally = fuzz.fuzz(kind, tmp_path, FEW.get(kind.__name__, 300), seed=0)
    assert tally.tried == tally.answers + tally.errors
    # A reader that refuses everything would pass otherwise.
    assert tally.answers > 0
    assert tally.growth_mb < kind.growth_mb


@pytest.mark.long
def test_a_hundred_thousand_damaged_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {kind: MANY.get(kind.__name__, 2_000) for kind in READERS}
    tallies = {kind: run(kind, count, tmp_path) for kind, count in counts.items()}
    tried = sum(tally.tried for tally in tallies.values())
    lines = [
        f"{kind.__name__:<10} {tally.tried:>6} tried, {tally.answers:>5} right answers, "
        f"{tally.errors:>6} clear errors, {tally.seconds:>4.0f} s, "
        f"slowest {tally.slowest_s:.2f} s, "
        f"peak {tally.peak_mb:.0f} MB, {tally.growth_mb:.0f} MB of it by these inputs"
        for kind, tally in tallies.items()
    ]
    with capsys.disabled():
        print("", *lines, f"{tried} inputs tried", sep="\n")
    assert tried >= ALL


def run(kind: type[Reader], count: int, folder: Path) -> Tally:
    """Fuzz in a process of its own, so that its memory can be measured."""
    arguments = ["-m", fuzz.__name__, kind.__name__, str(count), str(SEED)]
    process = run_python(*arguments, timeout_s=3600, environment={"TMPDIR": str(folder)})
    assert process.returncode == 0, process.stderr[-3000:]
    tally = Tally(**json.loads(process.stdout.splitlines()[-1]))
    assert tally.growth_mb < kind.growth_mb
    return tally
