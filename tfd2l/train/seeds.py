"""Makes a run for each of several seeds, sums them up, and publishes the best."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

import keras
import numpy as np

from pipelines.fashion_mnist import Arrays
from tfd2l.common.commands import complain
from tfd2l.common.errors import Tfd2lError
from tfd2l.train.evaluation import reason_against
from tfd2l.train.finish import Result
from tfd2l.train.publish_run import publish_run
from tfd2l.train.run import run
from tfd2l.train.settings.config import TrainConfig
from tfd2l.train.workers.team import Team

__all__ = ["run_each", "summary"]


def run_each(
    configs: Sequence[TrainConfig],
    flags: Sequence[str],
    loading: Future[Arrays] | None,
    team: Team,
) -> int:
    """Make a run for each seed, print their results together, and publish the best."""
    results: list[Result] = []
    for config in configs:
        team.say(f"\nseed {config.seed}")
        path = config.run_dir
        if path is not None:
            config = config.model_copy(update={"run_dir": path / f"seed-{config.seed}"})
        keras.utils.clear_session()
        status = run(config, flags, loading, None, team, results)
        if status != 0:
            return status
    if not team.is_chief:
        return 0
    team.say(f"\n{summary([config.seed for config in configs], results)}")
    config, best = best_of(configs, results)
    if config.dry_run or config.export == "none":
        return 0
    reason = reason_against(best.evaluation, config.export_dir / config.served_name)
    if reason is not None and not config.publish_anyway:
        team.say(f"kept    not published: {reason}")
        return 0
    try:
        arrays = None if loading is None else loading.result()
        publish_run(best.run, best.epoch, config, arrays, say=lambda line: team.say(line.strip()))
    except (Tfd2lError, OSError) as error:
        return complain(error)
    return 0


def best_of(
    configs: Sequence[TrainConfig], results: Sequence[Result]
) -> tuple[TrainConfig, Result]:
    """The settings and the result of the run with the best evaluation, the first of equals."""
    best = 0
    for number, result in enumerate(results):
        if result.evaluation.is_better_than(results[best].evaluation.value):
            best = number
    return configs[best], results[best]


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
