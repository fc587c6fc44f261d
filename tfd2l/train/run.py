"""The story of a run: data, model, trainer, fit, report, export."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.fashion_mnist import Arrays
from tfd2l.book.data import DataModule
from tfd2l.book.module import Module
from tfd2l.common.commands import complain, shell_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.callback import Callback
from tfd2l.engine.errors import DivergedError, WorkerError
from tfd2l.export.errors import ExportError
from tfd2l.export.publish import check_writable
from tfd2l.train.build import build_model, build_trainer
from tfd2l.train.data import make_data
from tfd2l.train.finish import Publication, Result, check_interface, finish
from tfd2l.train.interrupt import InterruptedRunError, StopOnSignal
from tfd2l.train.metrics_log import charts_of
from tfd2l.train.model import describe_file
from tfd2l.train.records import RECORD_FILE, origin
from tfd2l.train.resume import LearningRate, check_data, find_resume_point, say_changed_file
from tfd2l.train.run_directory import CHECKPOINTS, RunDirectory, new_run_path
from tfd2l.train.settings.config import TrainConfig, settings_to_keep
from tfd2l.train.workers.team import EXIT_WORKER_LOST, Team, facts_of_run

__all__ = ["run"]

Changes = Mapping[str, Any]


@dataclass
class Job:
    """A run to make or to resume.

    Attributes:
        config: all settings.
        flags: those of the command, for the record.
        changes: the settings that a resumed run is to change; None begins a new run.
        path: the run's directory, as soon as there is one.
        withheld: the reason why the run is not to be published, or None.
        team: the workers that make the run.
    """

    config: TrainConfig
    flags: Sequence[str]
    changes: Changes | None
    path: Path | None
    withheld: str | None
    team: Team

    @property
    def base(self) -> Path:
        """The directory of the model's versions."""
        return self.config.export_dir / self.config.served_name

    def tell_plan(self, checkpoint: Path | None, finished: bool = False) -> None:
        """Let the other workers know the run's directory and the checkpoint to resume from."""
        name = None if checkpoint is None else checkpoint.name
        plan = {"run": str(self.path), "checkpoint": name, "finished": finished}
        self.team.tell("plan", plan)

    def open_directory(self) -> contextlib.closing[RunDirectory]:
        """Make or reopen the run's directory, in a context that closes it."""
        self.path = self.path or new_run_path(Path("runs"), self.config.served_name)
        every = self.config.checkpoint_every
        return contextlib.closing(RunDirectory(self.path, self.changes is not None, every))


def run(
    config: TrainConfig,
    flags: Sequence[str],
    loading: Future[Arrays] | None,
    changes: Changes | None,
    team: Team,
    results: list[Result] | None = None,
) -> int:
    """Make or resume a run, and say how to go on after an error.

    Args:
        config: all settings.
        flags: those of the command, for the record.
        loading: the images, which may still be loading; None for data that need no loading.
        changes: the settings that a resumed run is to change; None begins a new run.
        team: the workers that make the run.
        results: a list to which the run's result is appended.

    Returns:
        The exit status.
    """
    withheld = "--export none" if config.export == "none" else None
    if results is not None:
        withheld = "the best of all seeds is published in the end"
    job = Job(config, flags, changes, config.run_dir, withheld, team)
    try:
        with dry(job), team.together():
            arrays = None if loading is None else loading.result()
            data = make_data(job.config, arrays, say=team.say)
            team.agree(facts_of_run(job.config, data.describe(), changes))
            result = make(job, data)
        if results is not None and result is not None:
            results.append(result)
    except InterruptedRunError as error:
        print(f"{error}{how_to_resume(job, 'resume with')}", file=sys.stderr)
        return 128 + error.signal_number
    except WorkerError as error:
        complain(f"{error.loss}{how_to_resume(job, 'start all again with')}")
        return EXIT_WORKER_LOST
    except (Tfd2lError, OSError) as error:
        status = complain(error)
        if job.path is not None:
            suggest(error, job.path, config.rate or config.lr)
        return status
    return 0


@contextlib.contextmanager
def dry(job: Job) -> Iterator[None]:
    """Make a dry run a short one, in a directory that vanishes."""
    if not job.config.dry_run:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tfd2l-dry-run-") as folder:
        changes = {
            "epochs": 1,
            "limit_batches": min(job.config.limit_batches or 2, 2),
            "export_dir": Path(folder, "savedmodels"),
            "publish_anyway": True,
        }
        job.config = job.config.model_copy(update=changes)
        job.path = Path(folder, "run")
        yield
    job.team.say("dry run: all parts work; nothing was kept")


def make(job: Job, data: DataModule) -> Result | None:
    """Make or resume a run; None on a worker that is not the chief, or if nothing is to do."""
    if job.team.is_chief:
        result = begin(job, data) if job.changes is None else resume(job, data)
        job.team.tell("end", True)
        return result
    follow(job, data)
    return None


def begin(job: Job, data: DataModule) -> Result:
    """Make a new run; its directory is made when all settings have proved to fit."""
    check_export(job, data)
    model, arguments = build_model(job.config, data)
    with job.open_directory() as directory:
        kept, file = settings_to_keep(job.config, arguments), describe_file(job.config.model)
        directory.keep_settings(kept, data.describe(), None, origin(job.flags, file))
        job.tell_plan(None)
        return train(job, data, model, directory, [], None)


def resume(job: Job, data: DataModule) -> Result | None:
    """Go on with a run; None if it was finished before."""
    config, changes = job.config, job.changes or {}
    with job.open_directory() as directory:
        check_data(directory, data.describe())
        checkpoint, finished = find_resume_point(directory, changes, say=print)
        if finished is not None:
            print(f"the run in {directory.path} is finished; {finished}")
            job.tell_plan(None, finished=True)
            return None
        # Before the epochs, and before the settings are replaced.
        check_export(job, data)
        say_changed_file(directory, describe_file(config.model), say=print)
        model, arguments = build_model(config, data)
        directory.keep_settings(settings_to_keep(config, arguments), data.describe(), changes)
        job.tell_plan(checkpoint)
        return train(job, data, model, directory, new_rate(config), checkpoint)


def follow(job: Job, data: DataModule) -> None:
    """Make the steps of the chief's run on another worker, which writes nothing but its log."""
    config, team = job.config, job.team
    print(f"{team}: the run is kept by worker 0")
    model, _ = build_model(config, data)
    plan = team.hear("plan")
    job.path = Path(plan["run"])
    if not plan["finished"]:
        rate, checkpoint = [], None
        if config.run_dir is not None and plan["checkpoint"] is not None:
            rate, checkpoint = new_rate(config), config.run_dir / CHECKPOINTS / plan["checkpoint"]
        stop = StopOnSignal(lambda trainer: None)
        trainer = build_trainer(config, model, [], [stop, *rate], team.strategy)
        with stop:
            trainer.fit(model, data, checkpoint)
            stop.end_at_once()
            # The chief evaluates and exports.
            team.hear("end")
    print(f"{team}: the run in {job.path} has ended")


def new_rate(config: TrainConfig) -> list[Callback]:
    """The callback that gives a resumed fit its learning rate, where the command sets it."""
    return [] if config.rate is None else [LearningRate(config.rate)]


def check_export(job: Job, data: DataModule) -> None:
    """Raise an error if the model could not be published."""
    if job.config.export != "none":
        check_writable(job.base)
        check_interface(job.base, data, job.config.publish_anyway)


def train(
    job: Job,
    data: DataModule,
    model: Module,
    directory: RunDirectory,
    callbacks: Sequence[Callback],
    checkpoint: Path | None,
) -> Result:
    """Fit the model, report and publish the result."""
    config = job.config
    stop = StopOnSignal(directory.keep)
    charts = charts_of(config, directory.path)
    keepers = [charts, directory]
    trainer = build_trainer(config, model, keepers, [stop, *callbacks], job.team.strategy)
    publication = Publication(
        job.base,
        config.keep_versions,
        "last" if config.export == "last" else "best",
        job.withheld,
        config.publish_anyway,
    )
    with stop:
        trainer.fit(model, data, checkpoint)
        stop.end_at_once()
        result = finish(trainer, data, directory, publication, charts)
    if config.dry_run:
        print(f"\n{result.text}")
    else:
        show(result, directory.path)
    return result


def show(result: Result, run_path: Path) -> None:
    """Print the results of the run and the places of its parts."""
    print(f"\n{result.text}")
    print(f"run     {run_path}")
    if result.best is not None:
        print(f"best    {result.best}")
    look = shell_line("tensorboard.main", "--logdir", run_path.parent)
    if result.export is None:
        later = shell_line("tfd2l.train", "--publish", result.run)
        print(f"kept    not published: {result.reason}\n        {later}")
        print(f"look    {look}")
        return
    print(f"export  {result.export}")
    show_all = ("tensorflow.python.tools.saved_model_cli", "show", "--all", "--dir", result.export)
    print(f"look    {look}\n        {shell_line(*show_all)}")


def how_to_resume(job: Job, verb: str) -> str:
    """The end of a line that says how to resume the run, if it is kept."""
    kept = not job.config.dry_run and job.path is not None
    return f"; {verb} --resume {shlex.quote(str(job.path))}" if kept else ""


def suggest(error: Exception, run_path: Path, lr: float) -> None:
    """Print how to resume a run that an error ended, where that may help."""
    try:
        known = (run_path / RECORD_FILE).exists()
    except OSError:
        # The directory can't be searched.
        known = False
    if not known:
        return
    if isinstance(error, OSError | ExportError):
        print(
            f"when that is mended, resume with --resume {shlex.quote(str(run_path))}",
            file=sys.stderr,
        )
    elif isinstance(error, DivergedError) and any((run_path / "checkpoints").glob("epoch-*")):
        flags = f"--resume {shlex.quote(str(run_path))} --lr {lr / 10:g}"
        print(f"resume from the last checkpoint with {flags}", file=sys.stderr)
