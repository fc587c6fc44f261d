"""Fixtures of all tests: data, a fixed seed, and signals."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Set before TensorFlow is imported: its start-up messages do not belong to a test's output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several tests run at the same time: more threads would only wait for each other.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import hypothesis
import keras
import numpy as np
import pandas as pd
import pytest

from pipelines import fashion_mnist
from pipelines.tables.csv_files import write_table
from tests.support.warm_c_api import Process, warm_c_api

# Machines that run tests are shared, so an example's time is no sign of an error.
hypothesis.settings.register_profile(
    "shared", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared")


def pytest_collection_finish() -> None:
    """Exempt the million objects of the imports from garbage collections, a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fashion() -> fashion_mnist.Arrays:
    """The real data, from the first source that this machine has."""
    return fashion_mnist.load()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def c_api_forks() -> Iterator[Process]:
    """Calls of the load check, each in a fork of one process that has loaded its library."""
    with warm_c_api() as process:
        yield process


@pytest.fixture
def warm_load_check(c_api_forks: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let load checks run in those forks."""
    for module in ("tfd2l.export.publish", "tfd2l.export.verify", "tests.support.small_models"):
        monkeypatch.setattr(f"{module}.c_api_process", c_api_forks)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt this process and its children, even if SIGINT was ignored.

    Shells start background jobs with SIGINT ignored, and child processes inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def images() -> tuple[np.ndarray, np.ndarray]:
    """70 made-up images, and labels that can be learnt: the position of the light rows."""
    labels = np.arange(70) % 10
    pictures = np.random.default_rng(0).integers(0, 60, (70, 28, 28))
    for picture, label in zip(pictures, labels, strict=True):
        picture[2 * label : 2 * label + 3] += 180
    return pictures.astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture(scope="session")
def house_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the competition's two files, with 150 and 50 made-up houses."""
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
