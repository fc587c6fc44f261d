"""What all tests share: real Fashion-MNIST, loaded once, and no pictures on a screen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

# Before TensorFlow is imported anywhere: its start-up messages are not a test's output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import keras
import numpy as np
import pytest

from pipelines import fashion_mnist

# Machines that run tests are shared: how long drawing or running an example takes says nothing.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def fashion() -> fashion_mnist.Arrays:
    """The real data, from wherever this machine has it."""
    return fashion_mnist.load()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts this process and those it starts, also where a shell had it ignored.

    Shells start background jobs that way, and programs hand it down to what they start.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    """70 made-up images and labels that can be learnt: the label is where the light row is."""
    labels = np.arange(70) % 10
    pictures = np.random.default_rng(0).integers(0, 60, (70, 28, 28))
    for picture, label in zip(pictures, labels, strict=True):
        picture[2 * label : 2 * label + 3] += 180
    return pictures.astype(np.uint8), labels.astype(np.uint8)
