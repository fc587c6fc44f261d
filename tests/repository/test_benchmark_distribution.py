"""The model of the speed-up, by numbers worked by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.distribution import work_of
from benchmarks.speedup import Network, Work, collectives_s, draw, fitted, speed_up, step_s

# A million parameters are 4 MB; on four workers each link moves 2 * 3/4 of them, 6 MB.
WORK = Work(parameters=1_000_000, constant_s=0.001, example_s=1e-4)
# 6 MB at 1 GB/s are 6 ms, and at 0.5 s for each GB 3 ms; 6 messages of 0.1 ms; 2 ms to start.
NETWORK = Network(bandwidth=1e9, latency_s=1e-4, start_s=0.002, byte_s=5e-10)


def test_the_time_of_the_collectives_is_that_of_a_ring() -> None:
    assert collectives_s(4, 1_000_000, NETWORK) == pytest.approx(0.006 + 0.003 + 0.0006 + 0.002)
    # Two workers move 4 MB in 2 messages.
    assert collectives_s(2, 1_000_000, NETWORK) == pytest.approx(0.004 + 0.002 + 0.0002 + 0.002)
    assert collectives_s(1, 1_000_000, NETWORK) == 0


def test_the_speed_up_is_the_ratio_of_the_steps() -> None:
    # 1 ms and 1,000 examples at 0.1 ms; on four workers 250 each, and 11.6 ms for the collectives.
    assert step_s(WORK, 1000, 1, NETWORK) == pytest.approx(0.101)
    assert step_s(WORK, 1000, 4, NETWORK) == pytest.approx(0.001 + 0.025 + 0.0116)
    assert speed_up(WORK, 1000, 4, NETWORK) == pytest.approx(101 / 37.6)
    # A small batch gets slower: 1 + 1 ms alone, 1 + 0.25 + 11.6 ms together.
    assert speed_up(WORK, 10, 4, NETWORK) == pytest.approx(2 / 12.85)


def test_the_network_is_fitted_through_the_fewest_and_the_most_parameters() -> None:
    # 1,000 parameters are 4 kB and 1,001,000 are 4.004 MB: 4 ms for 4 MB, so 1 s for a GB.
    network = fitted({1000: 0.002004, 500_000: 0.9, 1_001_000: 0.006004})
    assert network.byte_s == pytest.approx(1e-9)
    assert network.start_s == pytest.approx(0.002)
    assert collectives_s(2, 1_001_000, network) == pytest.approx(0.006004)


def test_the_work_of_a_step_comes_from_epochs_of_two_batch_sizes() -> None:
    # 235 steps of 3.56 ms and 30 steps of 21.48 ms: 1 ms, and 10 us for each example.
    work = work_of({"256": 235 * 0.00356, "2048": 30 * 0.02148})
    assert work.constant_s == pytest.approx(0.001)
    assert work.example_s == pytest.approx(1e-5)
    assert work.parameters == 203_530


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    measured = {1000: 0.002, 1_000_000: 0.006}
    draw(measured, {"MLP": (WORK, 256)}, fitted(measured), tmp_path / "speedup.png")
    assert (tmp_path / "speedup.png").stat().st_size > 10_000
