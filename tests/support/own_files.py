"""A reader's own files: a folder of images, a table and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

__all__ = ["NET", "make_houses", "make_photos"]

COLOURS = {"blue": (0, 0, 200), "green": (0, 160, 0), "red": (220, 0, 0)}
NET = """
import keras
import tfd2l as d2l


class Net(d2l.Classifier):
    def __init__(self, lr=0.5, num_classes=10, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.RandomFlip("horizontal", seed=0),
                keras.layers.Flatten(),
                keras.layers.Dense(width, activation="relu"),
                keras.layers.Dense(num_classes),
            ]
        )
"""


def make_photos(folder: Path) -> None:
    """Write ten small noisy images of each colour."""
    rng = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(10):
            pixels = np.clip(np.array(colour) + rng.normal(0, 30, (12, 10, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")


def make_houses(path: Path) -> None:
    """Write a table of prices that follow from rooms and roofs, some of which are missing."""
    rng = np.random.default_rng(0)
    rooms, roofs = rng.integers(1, 9, 120), rng.choice(["Slate", "Tin"], 120)
    price = 20_000 * rooms + np.where(roofs == "Slate", 15_000, 0) + 50_000
    table = pd.DataFrame({"Rooms": rooms, "Roof": roofs, "Price": price})
    table.astype(object).mask(rng.random(table.shape) < [0.05, 0.05, 0]).to_csv(path, index=False)
