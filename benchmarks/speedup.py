"""A model of the speed-up by several workers, and its picture.

A step on one worker takes a constant and a time for each example. On N workers each computes its
share of the examples, and then all add up their gradients by a ring: each worker sends and
receives 2 (N - 1) / N of the parameters' bytes in 2 (N - 1) messages. Nothing overlaps: the sum
begins when the gradients are there, as it does in a step of `MultiWorkerMirroredStrategy`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Network", "Work", "collectives_s", "draw", "fitted", "speed_up", "step_s"]

BYTES = 4  # of a float32
GIGABIT = 1e9 / 8


@dataclass(frozen=True)
class Work:
    """What a step computes on one worker.

    Attributes:
        parameters: of the model.
        constant_s: seconds of a step that do not depend on the batch, such as the update.
        example_s: seconds for each example.
    """

    parameters: int
    constant_s: float
    example_s: float


@dataclass(frozen=True)
class Network:
    """What moves the gradients.

    Attributes:
        bandwidth: bytes a second of each worker's link, in each direction.
        latency_s: seconds of a message.
        start_s: seconds that the collective operations of a step take for no bytes.
        byte_s: seconds for a byte beside the link: copies, sums, gRPC.
    """

    bandwidth: float
    latency_s: float
    start_s: float
    byte_s: float


def collectives_s(workers: int, parameters: int, network: Network) -> float:
    """Return the seconds that a step's collective operations take."""
    if workers == 1:
        return 0.0
    moved = 2 * (workers - 1) / workers * parameters * BYTES
    messages = 2 * (workers - 1)
    return (
        network.start_s
        + messages * network.latency_s
        + moved * (1 / network.bandwidth + network.byte_s)
    )


def step_s(work: Work, batch: int, workers: int, network: Network) -> float:
    """Return the seconds of a step on a batch that the workers share."""
    compute_s = work.constant_s + work.example_s * batch / workers
    return compute_s + collectives_s(workers, work.parameters, network)


def speed_up(work: Work, batch: int, workers: int, network: Network) -> float:
    """Return the time of a step on one worker, as a multiple of that on several."""
    return step_s(work, batch, 1, network) / step_s(work, batch, workers, network)


def draw(
    measured: Mapping[int, float], works: Mapping[str, tuple[Work, int]], network: Network,
    path: Path,
) -> None:  # fmt: skip
    """Draw the measured cost, the speed-up of models, and where two workers pay.

    Args:
        measured: the seconds of a step's collectives on loopback, by the number of parameters.
        works: the work and the batch of each curve, by its name.
        network: as measured on loopback; the bandwidths are those of the curves.
        path: a .png or .svg.
    """
    from matplotlib.figure import Figure

    from tfd2l.common.figures import save_figure

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    cost, curves, border = figure.subplots(1, 3)
    _draw_cost(cost, measured, network)
    _draw_curves(curves, works, network)
    _draw_border(border, network)
    for panel in (cost, curves, border):
        panel.grid(alpha=0.3)
        panel.minorticks_off()
    save_figure(figure, path)


def _draw_cost(panel: Axes, measured: Mapping[int, float], network: Network) -> None:
    y = [1e3 * seconds for seconds in measured.values()]
    panel.loglog([*measured], y, "o", label="measured on loopback")
    low, high = math.log10(min(measured)), math.log10(max(measured))
    sizes = [int(10 ** (low + (high - low) * step / 50)) for step in range(51)]
    modelled = [1e3 * collectives_s(2, size, network) for size in sizes]
    panel.loglog(sizes, modelled, "--", color="grey", label="model")
    panel.set(xlabel="parameters", ylabel="collectives of a step, ms", title="two processes here")
    panel.legend()


def _draw_curves(panel: Axes, works: Mapping[str, tuple[Work, int]], network: Network) -> None:
    workers = [1, 2, 4, 8, 16]
    for number, (name, (work, batch)) in enumerate(works.items()):
        for gigabits, style in ((1, ":"), (10, "-")):
            y = [speed_up(work, batch, count, _link(network, gigabits)) for count in workers]
            label = f"{name}, {gigabits} Gbit/s"
            panel.loglog(workers, y, style, color=f"C{number}", label=label)
    panel.loglog(workers, workers, color="lightgrey", label="ideal")
    panel.axhline(1, color="black", linewidth=0.8)
    panel.set(xlabel="workers", ylabel="speed-up", title="model of the speed-up")
    panel.set_xticks(workers, [*map(str, workers)])
    ticks = [0.1, 0.2, 0.5, 1, 2, 4, 8, 16]
    panel.set_yticks(ticks, [*map(str, ticks)])
    # Below the panel, where no curve is.
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize="x-small")


def _draw_border(panel: Axes, network: Network) -> None:
    parameters = [int(10 ** (power / 4)) for power in range(16, 37)]
    for gigabits in (1, 10, 100):
        link = _link(network, gigabits)
        needed = [1e3 * _pays_from_s(count, link) for count in parameters]
        panel.loglog(parameters, needed, label=f"{gigabits} Gbit/s")
    panel.set(
        xlabel="parameters", ylabel="time of a step on one worker, ms",
        title="above the line two workers pay",
    )  # fmt: skip
    panel.legend()


def _link(network: Network, gigabits: float) -> Network:
    """The same software on a link of this bandwidth, between machines of one room."""
    return Network(gigabits * GIGABIT, 5e-5, network.start_s, network.byte_s)


def _pays_from_s(parameters: int, network: Network) -> float:
    """The seconds of a step on one worker from which two are faster, without a constant part."""
    return 2 * collectives_s(2, parameters, network)


def fitted(measured: Mapping[int, float]) -> Network:
    """The network of loopback, from the times of two workers for the fewest and most parameters."""
    sizes: Sequence[int] = sorted(measured)
    first, last = sizes[0], sizes[-1]
    # Two workers move the bytes of all parameters once.
    byte_s = (measured[last] - measured[first]) / ((last - first) * BYTES)
    start_s = measured[first] - first * BYTES * byte_s
    return Network(bandwidth=float("inf"), latency_s=0.0, start_s=start_s, byte_s=byte_s)
