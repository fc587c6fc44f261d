"""What all tests share: real Fashion-MNIST, loaded once, and no pictures on a screen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before TensorFlow is imported anywhere: its start-up messages are not a test's output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests of several files run beside each other: more threads would wait for one another.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import hypothesis
import keras
import numpy as np
import pandas as pd
import pytest

from pipelines import fashion_mnist
from pipelines.csv_files import write_table

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


@pytest.fixture(scope="session")
def house_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the competition's two files, but with made-up houses: 150 and 50."""
    random = np.random.default_rng(0)
    n = 200
    area, quality = random.integers(600, 3000, n), random.integers(1, 11, n)
    log_price = 10.5 + area / 3000 + quality / 10 + random.normal(0, 0.1, n)
    frame = pd.DataFrame(
        {
            "Id": np.arange(1, n + 1),
            "MSSubClass": random.choice([20, 50, 60], n),
            "MSZoning": random.choice(["RL", "RM", "FV"], n),
            "LotFrontage": np.where(random.random(n) < 0.2, np.nan, random.integers(20, 120, n)),
            "LotArea": random.integers(1500, 20000, n),
            "Alley": random.choice(np.array(["Grvl", None]), n, p=[0.1, 0.9]),
            "OverallQual": quality,
            "YearBuilt": random.integers(1880, 2010, n),
            "GrLivArea": area,
            "GarageType": random.choice(np.array(["Attchd", "Detchd", None]), n),
            "SaleType": random.choice(["WD", "New"], n),
            "SaleCondition": random.choice(["Normal", "Abnorml"], n),
            "SalePrice": np.exp(log_price).astype(int),
        }
    )
    folder = tmp_path_factory.mktemp("houses")
    write_table(frame[:150], folder / "kaggle_house_pred_train.csv")
    write_table(frame[150:].drop(columns="SalePrice"), folder / "kaggle_house_pred_test.csv")
    return folder
