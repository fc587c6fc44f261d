"""`python -m benchmarks.growth --picture growth.png`: the growth of an epoch's time and memory.

Fits the concise MLP as in the book, except that one of batch size, hidden units, image side and
number of examples changes. Examples that memory can't hold are streamed from a file. Each point is
a fit of four epochs in a process of its own; the last two epochs count.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import resource
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.processes import last_json, timed

BOOK = {"batch": 256, "hidden": 256, "side": 28, "examples": 60_000}
POINTS = {
    "batch": [16, 64, 256, 1024, 4096, 16384],
    "hidden": [16, 64, 256, 1024, 4096],
    "side": [28, 48, 96, 160],
    "examples": [3_000, 15_000, 60_000, 300_000, 1_200_000],
    "streamed": [60_000, 300_000, 1_200_000],
}
TITLES = {
    "batch": "examples in a batch",
    "hidden": "hidden units",
    "side": "image side, pixels",
    "examples": "examples",
    "streamed": "examples, streamed from a file",
}


def measure(kind: str, value: int) -> dict[str, float]:
    """Return the seconds of an epoch and the peak memory at a point."""
    import numpy as np
    import tensorflow as tf

    import tfd2l as d2l
    from pipelines import fashion_mnist
    from pipelines.images import prepare_images

    setting = {**BOOK, ("examples" if kind == "streamed" else kind): value}
    arrays, count, batch = fashion_mnist.load(), setting["examples"], setting["batch"]
    order = np.arange(count) % len(arrays.train_images)

    class Streamed(d2l.DataModule):
        """Batches from a file, read in its order, a chunk at a time."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

        def get_dataloader(self, train: bool) -> Any:
            if not train:
                return None

            def chunks() -> Any:
                images = np.load(self.path, mmap_mode="r")
                for start in range(0, count, 100 * batch):
                    stop = min(start + 100 * batch, count)
                    yield (
                        images[start:stop],
                        arrays.train_labels[order[start:stop]].astype(np.int32),
                    )

            specs = (tf.TensorSpec((None, 28, 28), tf.uint8), tf.TensorSpec((None,), tf.int32))
            rows = tf.data.Dataset.from_generator(chunks, output_signature=specs)
            batches = rows.unbatch().batch(batch).map(lambda X, y: (prepare_images(X, None), y))
            return batches.prefetch(tf.data.AUTOTUNE)

    with tempfile.TemporaryDirectory() as folder:
        if kind == "streamed":
            path = Path(folder, "images.npy")
            file = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 28, 28))
            for start in range(0, count, 60_000):
                file[start : start + 60_000] = arrays.train_images[order[start : start + 60_000]]
            del file
            data: Any = Streamed(path)
        else:
            many = fashion_mnist.Arrays(
                arrays.train_images[order], arrays.train_labels[order], arrays.val_images,
                arrays.val_labels, source="repeated", sha256={},
            )  # fmt: skip
            data = d2l.FashionMNIST(batch, (setting["side"],) * 2, arrays=many)
        history = d2l.Trainer(4).fit(d2l.MLP(10, setting["hidden"], lr=0.1), data)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.mean(history["seconds"][2:]), "peak_mib": peak_kib / 1024}


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw a panel for each quantity that grows: seconds, and memory in grey."""
    from matplotlib.figure import Figure

    from tfd2l.common.figures import save_figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for panel, (kind, points) in zip(panels, found.items(), strict=False):
        x = [int(value) for value in points]
        panel.loglog(x, [point["seconds"] for point in points.values()], "o-", color="C0")
        memory = panel.twinx()
        memory.semilogx(x, [p["peak_mib"] / 1024 for p in points.values()], "s:", color="grey")
        memory.set_ylim(bottom=0)
        memory.set_ylabel("peak memory, GiB", color="grey")
        panel.set(xlabel=TITLES[kind], ylabel="time of an epoch, log scale")
        panel.set_xticks(x, [f"{value:,}" for value in x], rotation=30, size="small")
        panel.minorticks_off()
        panel.set_yticks([])
        panel.margins(x=0.15, y=0.15)
        for place, point in zip(x, points.values(), strict=True):
            where = (place, point["seconds"])
            panel.annotate(f"{point['seconds']:.2g} s", where, (4, 5), textcoords="offset points")
        panel.grid(alpha=0.3)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    save_figure(figure, path)


def main() -> None:
    """Read the flags, measure the points and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(POINTS), choices=POINTS)
    parser.add_argument("--picture", type=Path, help="a .png or .svg to draw")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(options.point[0], int(options.point[1]))))
        return
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in options.kinds:
        print(f"\n{TITLES[kind]:<32}{'s/epoch':>10}{'GiB':>8}", flush=True)
        for value in POINTS[kind]:
            command = [sys.executable, "-m", "benchmarks.growth", "--point", kind, str(value)]
            point = last_json(timed(command)[1])
            found.setdefault(kind, {})[str(value)] = point
            seconds, peak = point["seconds"], point["peak_mib"] / 1024
            print(f"{value:<32,}{seconds:>10.3f}{peak:>8.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
