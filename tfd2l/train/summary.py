"""Sums up the runs of several seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfd2l.train.finish import Result

__all__ = ["summary"]


def summary(seeds: Sequence[int], results: Sequence[Result]) -> str:
    """A table of the results by seed, and their mean and standard deviation.

    Args:
        seeds: of the runs.
        results: as many, at least two.
    """
    metric = results[0].evaluation.metric
    values = np.array([result.evaluation.value for result in results])
    lines = [f"{'seed':>10}  {metric:>10}  run"]
    lines += [
        f"{seed:>10}  {value:>10.5g}  {result.run}"
        for seed, value, result in zip(seeds, values, results, strict=True)
    ]
    deviation = values.std(ddof=1)
    return "\n".join([*lines, f"{metric} {values.mean():.5g}, standard deviation {deviation:.2g}"])
