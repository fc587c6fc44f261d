"""Draws the ratios of a call as a picture."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from tfd2l.common.figures import save_figure


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw a bar for each peer and workload: its time as a multiple of the first's, log scale."""
    from matplotlib.figure import Figure

    workloads = list(dict.fromkeys(row["workload"] for row in rows))
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    figure = Figure(figsize=(8, 0.35 * len(rows) + 1), layout="constrained")
    panels = figure.subplots(len(workloads), 1, squeeze=False, sharex=True)[:, 0]
    for panel, workload in zip(panels, workloads, strict=True):
        mine = [row for row in rows if row["workload"] == workload]
        times = [1 / row["ratio"] for row in mine]
        names = [row["peer"] for row in mine]
        bars = panel.barh(names, times, color=[f"C{peers.index(name) % 10}" for name in names])
        labels = [
            _milliseconds(statistics.median(row["seconds"])) + " (void)" * row["void"]
            for row in mine
        ]
        panel.bar_label(bars, labels, padding=3, fontsize="small")
        panel.set_xscale("log")
        panel.set_title(workload, loc="left", fontsize="medium")
        panel.axvline(1, color="black", linewidth=0.8)
        panel.invert_yaxis()
        panel.margins(x=0.2)
    panels[-1].set_xlabel(f"time of an epoch, as a multiple of {peers[0]}'s")
    save_figure(figure, path)


def _milliseconds(seconds: float) -> str:
    """Format as milliseconds: whole ones from 100 ms on, three digits below."""
    return f"{1e3 * seconds:.0f} ms" if seconds >= 0.1 else f"{1e3 * seconds:.3g} ms"
