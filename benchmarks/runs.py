"""Runs of the peers, each in a process of its own, and the table of their medians."""

from __future__ import annotations

import contextlib
import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import python_of
from benchmarks.peers.common import IN_MEMORY, Array, Data, write_data
from benchmarks.processes import ROOT, last_json, timed

__all__ = ["WARM_UP_EPOCHS", "Peer", "compare", "data_file", "measure", "report"]

WARM_UP_EPOCHS = 3
# Peers whose scores differ by more did not do the same work. The book's models swing by 0.02
# from epoch to epoch, so the best epoch of a run is compared.
SAME_SCORE = 0.03


@dataclass(frozen=True)
class Peer:
    """A program that does the workloads.

    Attributes:
        module: its name in `benchmarks.peers`.
        environment: its name in `benchmarks.environments`; None is this project's own.
        variables: environment variables of the process.
        workloads: the names of those that it does.
    """

    module: str
    environment: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    workloads: tuple[str, ...] = IN_MEMORY


@contextlib.contextmanager
def data_file(*, images: bool = False) -> Iterator[Path]:
    """Write the data of all workloads to a temporary file, which every peer reads.

    With `images`, write the folder of W8b as well.
    """
    from pipelines import fashion_mnist

    arrays = fashion_mnist.load()
    train, val = (arrays.train_images, arrays.train_labels), (arrays.val_images, arrays.val_labels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "data.npz")
        write_data(path, Data(train, val))
        if images:
            _write_images(Path(folder, "images", "train"), *train)
            _write_images(Path(folder, "images", "val"), *val)
        yield path


def _write_images(folder: Path, images: Array, class_ids: Array) -> None:
    """Write grey images as `<class id>/<number>.png`."""
    from PIL import Image

    for class_id in range(int(class_ids.max()) + 1):
        (folder / str(class_id)).mkdir(parents=True)
    for number, (image, class_id) in enumerate(zip(images, class_ids, strict=True)):
        Image.fromarray(image).save(folder / str(class_id) / f"{number}.png")


def compare(
    peers: dict[str, Peer], workload: str, rounds: int, epochs: int, data: Path
) -> list[dict[str, Any]]:
    """Run the peers in turn, `rounds` times; print the workload's table and return its rows."""
    runs = defaultdict(list)
    for _ in range(rounds):
        for name, peer in peers.items():
            if workload in peer.workloads:
                runs[name].append(measure(peer, workload, epochs, data))
    return report(workload, runs)


def measure(peer: Peer, workload: str, epochs: int, data: Path) -> dict[str, Any]:
    """Run a peer once; return the line that it prints, and as `job_s` the seconds of it all."""
    python = python_of(peer.environment)
    command = [python, "-m", f"benchmarks.peers.{peer.module}", workload, str(epochs), str(data)]
    seconds, printed = timed(command, ROOT, **peer.variables)
    return {**last_json(printed), "job_s": seconds}


def report(workload: str, runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Print and return a workload's table: medians over rounds, ratios of the first peer."""
    rows = []
    scores = {peer: max(max(run["scores"]) for run in many) for peer, many in runs.items()}
    best = max((score for score in scores.values() if not math.isnan(score)), default=math.nan)
    columns = ("ms/epoch", "min", "max", "ours/it", "score", "MiB", "job s")
    print(f"\n{workload:<22}" + "".join(f"{column:>10}" for column in columns), flush=True)
    ours = [statistics.median(run["seconds"][WARM_UP_EPOCHS:]) for run in next(iter(runs.values()))]
    for peer, many in runs.items():
        epochs = [statistics.median(run["seconds"][WARM_UP_EPOCHS:]) for run in many]
        # The machine's speed drifts between rounds, so ratios are taken within a round.
        ratio = statistics.median(a / b for a, b in zip(ours, epochs, strict=True))
        void = "  void: score" if scores[peer] < best - SAME_SCORE else ""
        peak = statistics.median(run["peak_mib"] for run in many)
        job_s = statistics.median(run["job_s"] for run in many)
        figures = [1e3 * s for s in (statistics.median(epochs), min(epochs), max(epochs))]
        print(
            f"{peer:<22}"
            + "".join(f"{figure:>10.2f}" for figure in figures)
            + f"{ratio:>10.3f}{scores[peer]:>10.4f}{peak:>10.0f}{job_s:>10.1f}{void}",
            flush=True,
        )
        rows.append({"workload": workload, "peer": peer, "seconds": epochs, "ratio": ratio,
                     "score": scores[peer], "void": bool(void), "peak_mib": peak,
                     "job_s": job_s})  # fmt: skip
    return rows
