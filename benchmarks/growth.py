"""`python -m benchmarks.growth --picture growth.png`: the growth of an epoch's time and memory.

Fits the concise MLP as in the book, except that one of batch size, hidden units, image side and
number of examples changes. Examples that memory can't hold are streamed from files. Each point is
a fit of four epochs in a process of its own; the last two epochs count. Beside them stand the times
of the matrix products alone and of the memory traffic alone, from the machine's measured speeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import math
import resource
import statistics
import sys
import tempfile
import timeit
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import last_json, timed

NUM_VAL, NUM_CLASSES = 10_000, 10
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
    "streamed": "examples, streamed from files",
}


@dataclass(frozen=True)
class Machine:
    """The speeds that no program on this machine exceeds.

    Attributes:
        flops: operations a second in a product of two large float32 matrices.
        bandwidth: bytes a second that NumPy reads and writes when it copies a large array.
    """

    flops: float
    bandwidth: float

    @classmethod
    def measured(cls) -> Machine:
        """Measure both, as the best of seven."""
        import numpy as np

        side, size = 2048, 256 << 20
        A, source = np.ones((side, side), np.float32), np.ones(size, np.uint8)
        target = np.empty_like(source)
        product_s = min(timeit.repeat(lambda: A @ A, number=1, repeat=7))
        copy_s = min(timeit.repeat(lambda: np.copyto(target, source), number=1, repeat=7))
        return cls(2 * side**3 / product_s, 2 * size / copy_s)


def setting_of(kind: str, value: int) -> dict[str, int]:
    """The book's setting with one quantity changed."""
    return {**BOOK, ("examples" if kind == "streamed" else kind): value}


def limits(kind: str, value: int, machine: Machine) -> dict[str, float]:
    """Seconds of an epoch for the matrix products alone, and for the memory traffic alone.

    The products: forward for each example; in training also the gradients of both weight matrices
    and of the hidden units. The traffic, were nothing kept in a cache: each image is read as bytes,
    written as float32 and read by each product; each step reads the parameters twice and writes
    them once.
    """
    setting = setting_of(kind, value)
    inputs, hidden, examples = setting["side"] ** 2, setting["hidden"], setting["examples"]
    validated = 0 if kind == "streamed" else NUM_VAL
    steps = math.ceil(examples / setting["batch"])
    first, second = 2 * inputs * hidden, 2 * hidden * NUM_CLASSES
    operations = examples * (2 * first + 3 * second) + validated * (first + second)
    parameters = inputs * hidden + hidden + hidden * NUM_CLASSES + NUM_CLASSES
    images = examples * (28**2 + 3 * 4 * inputs) + validated * (28**2 + 2 * 4 * inputs)
    traffic = images + steps * 3 * 4 * parameters
    return {"products": operations / machine.flops, "memory": traffic / machine.bandwidth}


def exponent(values: list[int], seconds: list[float]) -> float:
    """The slope of the logarithms over the last three points, by least squares."""
    x, y = ([math.log(number) for number in many[-3:]] for many in (values, seconds))
    return statistics.linear_regression(x, y).slope


def measure(kind: str, value: int) -> dict[str, float]:
    """Return the seconds of an epoch and the peak memory at a point."""
    import numpy as np

    import tfd2l as d2l
    from pipelines import fashion_mnist

    setting = setting_of(kind, value)
    arrays, count, batch = fashion_mnist.load(), setting["examples"], setting["batch"]
    order = np.arange(count) % len(arrays.train_images)
    with tempfile.TemporaryDirectory() as folder:
        if kind == "streamed":
            data: Any = saved_batches(arrays, count, batch, folder)
        else:
            many = fashion_mnist.Arrays(
                arrays.train_images[order], arrays.train_labels[order], arrays.val_images,
                arrays.val_labels, source="repeated", sha256={},
            )  # fmt: skip
            data = d2l.FashionMNIST(batch, (setting["side"],) * 2, arrays=many)
        history = d2l.Trainer(4).fit(d2l.MLP(10, setting["hidden"], lr=0.1), data)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.mean(history["seconds"][2:]), "peak_mib": peak_kib / 1024}


def saved_batches(arrays: Any, count: int, batch: int, folder: str) -> Any:
    """A data module of uint8 batches from files of `tf.data.Dataset.save`, in a shuffled order."""
    import numpy as np
    import tensorflow as tf

    import tfd2l as d2l

    rows = tf.data.Dataset.from_tensor_slices(
        (arrays.train_images, arrays.train_labels.astype(np.int32))
    )
    rows.repeat().take(count).batch(batch).save(folder)

    class Saved(d2l.DataModule):
        """The batches, scaled."""

        def get_dataloader(self, train: bool) -> Any:
            if not train:
                return None
            scaled = (
                tf.data.Dataset.load(folder)
                .shuffle(200)
                .map(
                    lambda X, y: (tf.cast(X, tf.float32) / 255, y),
                    num_parallel_calls=tf.data.AUTOTUNE,
                )
            )
            return scaled.prefetch(tf.data.AUTOTUNE)

    return Saved()


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw a panel for each quantity that grows: seconds, limits, and memory in grey."""
    from matplotlib.figure import Figure

    from tfd2l.common.figures import save_figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for panel, (kind, points) in zip(panels, found.items(), strict=False):
        x = [int(value) for value in points]
        many = list(points.values())
        seconds = [point["seconds"] for point in many]
        panel.loglog(x, seconds, "o-", color="C0", label="an epoch")
        panel.loglog(x, [p["products"] for p in many], "--", color="C1", label="products alone")
        panel.loglog(x, [p["memory"] for p in many], ":", color="C2", label="memory traffic alone")
        memory = panel.twinx()
        memory.semilogx(x, [p["peak_mib"] / 1024 for p in many], "s", color="grey", alpha=0.5)
        memory.set_ylim(0, 1.3 * max(p["peak_mib"] for p in many) / 1024)
        memory.set_ylabel("peak memory, GiB", color="grey")
        panel.set(xlabel=TITLES[kind], ylabel="seconds")
        panel.set_title(f"last three: seconds ~ n^{exponent(x, seconds):.2f}", fontsize="medium")
        panel.set_xticks(x, [f"{value:,}" for value in x], rotation=30, size="small")
        panel.minorticks_off()
        panel.margins(x=0.15, y=0.15)
        for place, point in zip(x, seconds, strict=True):
            panel.annotate(f"{point:.2g}", (place, point), (4, 5), textcoords="offset points")
        panel.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    panels[-1].legend(handles, labels, loc="center", title="two cores, log scales")
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
    machine = Machine.measured()
    print(f"{machine.flops / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s")
    for kind in options.kinds:
        columns = ("s/epoch", "products", "memory", "GiB")
        print(f"\n{TITLES[kind]:<32}" + "".join(f"{column:>10}" for column in columns), flush=True)
        for value in POINTS[kind]:
            command = [sys.executable, "-m", "benchmarks.growth", "--point", kind, str(value)]
            point = last_json(timed(command)[1]) | limits(kind, value, machine)
            found.setdefault(kind, {})[str(value)] = point
            figures = [point["seconds"], point["products"], point["memory"]]
            print(
                f"{value:<32,}"
                + "".join(f"{figure:>10.3f}" for figure in figures)
                + f"{point['peak_mib'] / 1024:>10.2f}",
                flush=True,
            )
        values, seconds = zip(
            *((int(value), point["seconds"]) for value, point in found[kind].items()), strict=True
        )
        print(f"exponent of the last three: {exponent(list(values), list(seconds)):.2f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
