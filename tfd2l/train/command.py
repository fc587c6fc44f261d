"""`python -m tfd2l.train`: trains a model, keeps the run, exports the model.

Read from the top, this is the story of a run: settings, data, model, trainer, fit, report, export.
Flags are read before TensorFlow is imported, and the data is loaded and verified meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tfd2l.common.commands import complain, run_command, shell_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.keras_backend import check_keras_backend
from tfd2l.common.startup import collector_paused
from tfd2l.train.interrupt import InterruptedRunError, StopOnSignal
from tfd2l.train.records import RECORD_FILE, read_record

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipelines.fashion_mnist import Arrays
    from tfd2l.book.data import DataModule
    from tfd2l.train.config import TrainConfig
    from tfd2l.train.finish import Result
    from tfd2l.train.run_directory import RunDirectory

__all__ = ["main"]

NUM_GPUS = {"auto": None, "cpu": 0, "gpu": 1}
Loading: TypeAlias = "Future[Arrays]"
Changes: TypeAlias = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0; 2 for a wrong setting or file, 130 after Ctrl-C, 143 after SIGTERM.
    """
    flags = sys.argv[1:] if argv is None else argv
    return run_command(lambda: start(flags), interrupted="interrupted before training began")


def start(flags: Sequence[str]) -> int:
    """Read the settings, and load the data while TensorFlow is imported; then run."""
    # These imports take half a second, in which Ctrl-C shall find main() running.
    from concurrent.futures import ThreadPoolExecutor

    from tfd2l.train.flags import parse_all

    configs = parse_all(flags)
    config = configs[0]
    # After the flags: it imports NumPy.
    from pipelines import fashion_mnist

    changes = None
    if config.resume is not None:
        changes = config.changes
        configs = [resumed(config.resume, changes)]
    elif config.publish is not None:
        configs = [to_publish(config.publish, config)]
    settings = configs[0]
    with ThreadPoolExecutor(1) as pool:
        loading = None
        if settings.data is None and not settings.is_synthetic:
            loading = pool.submit(fashion_mnist.load, settings.data_dir, say=print)
        with collector_paused():
            prepare_tensorflow(settings.device, settings.precision, settings.deterministic)
        if config.publish is not None:
            from tfd2l.train.publish_run import publish_run

            arrays = None if loading is None else loading.result()
            return publish_run(config.publish, config.epoch, settings, arrays, say=print)
        if len(configs) == 1:
            return run(settings, flags, loading, changes)
        return run_each(configs, flags, loading)


def to_publish(path: Path, config: TrainConfig) -> TrainConfig:
    """The settings of the run in a directory, with those of its publication."""
    from tfd2l.train.config import PUBLICATION, from_settings

    given = {n: getattr(config, n) for n in PUBLICATION if n in config.model_fields_set}
    return from_settings({**read_record(path)["settings"], **given})


def resumed(path: Path, changes: Changes) -> TrainConfig:
    """The settings of the run in a directory, with changes."""
    from tfd2l.train.config import from_settings

    settings = read_record(path)["settings"]
    arguments = settings.get("set", {})
    if "lr" in changes and "lr" in arguments:
        arguments = {**arguments, "lr": changes["lr"]}
    return from_settings({**settings, "set": arguments, **changes, "run_dir": path})


def prepare_tensorflow(device: str, precision: str, deterministic: bool) -> None:
    """Import TensorFlow and the modules on top of it, choose devices and precision."""
    if deterministic:
        # On a CPU without AVX-512 TensorFlow would use Eigen's matrix products, whose sums depend
        # on the number of threads; oneDNN's don't.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    check_keras_backend()
    import tensorflow as tf

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    tf.config.list_logical_devices()
    import keras

    for module in ("data", "finish", "model", "optimizers", "resume"):
        importlib.import_module(f"tfd2l.train.{module}")
    from tfd2l.book.devices import choose_device

    # A device that is not there is an error before anything is written.
    choose_device(NUM_GPUS[device])
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(precision)


def run_each(configs: Sequence[TrainConfig], flags: Sequence[str], loading: Loading | None) -> int:
    """Make a run for each seed, and print their results together."""
    import keras

    from tfd2l.train.summary import summary

    results: list[Result] = []
    for config in configs:
        print(f"\nseed {config.seed}")
        path = config.run_dir
        if path is not None:
            config = config.model_copy(update={"run_dir": path / f"seed-{config.seed}"})
        keras.utils.clear_session()
        status = run(config, flags, loading, None, results)
        if status != 0:
            return status
    print(f"\n{summary([config.seed for config in configs], results)}")
    return 0


def run(
    config: TrainConfig,
    flags: Sequence[str],
    loading: Loading | None,
    changes: Changes | None,
    results: list[Result] | None = None,
) -> int:
    """Make or reopen the run's directory, train in it, and say how to go on after an error.

    Args:
        config: all settings.
        flags: those of the command, for the record.
        loading: the images, which may still be loading; None for data that need no loading.
        changes: the settings that a resumed run is to change; None begins a new run.
        results: a list to which the run's result is appended.

    Returns:
        The exit status.
    """
    from tfd2l.export.publish import check_writable
    from tfd2l.train.data import make_data
    from tfd2l.train.run_directory import RunDirectory, new_run_path

    path = config.run_dir
    try:
        with dry(config) as config:
            arrays = None if loading is None else loading.result()
            data = make_data(config, arrays, say=print)
            if changes is None and config.export != "none":
                # Also before the run's directory is made.
                check_writable(config.export_dir / config.served_name)
            path = config.run_dir or new_run_path(Path("runs"), config.served_name)
            directory = RunDirectory(path, changes is not None, config.checkpoint_every)
            with contextlib.closing(directory):
                result = train(config, flags, data, directory, changes)
        if results is not None and result is not None:
            results.append(result)
    except InterruptedRunError as error:
        print(f"{error}; resume with --resume {shlex.quote(str(path))}", file=sys.stderr)
        return 128 + error.signal_number
    except (Tfd2lError, OSError) as error:
        status = complain(error)
        if path is not None:
            suggest(error, path, config.lr)
        return status
    return 0


@contextlib.contextmanager
def dry(config: TrainConfig) -> Iterator[TrainConfig]:
    """For a dry run, the settings of a short run in a directory that vanishes."""
    if not config.dry_run:
        yield config
        return
    with tempfile.TemporaryDirectory(prefix="tfd2l-dry-run-") as folder:
        changes = {
            "epochs": 1,
            "limit_batches": min(config.limit_batches or 2, 2),
            "run_dir": Path(folder, "run"),
            "export_dir": Path(folder, "savedmodels"),
            "publish_anyway": True,
        }
        yield config.model_copy(update=changes)
    print("dry run: all parts work; nothing was kept")


def train(
    config: TrainConfig,
    flags: Sequence[str],
    data: DataModule,
    directory: RunDirectory,
    changes: Changes | None,
) -> Result | None:
    """Train the model that the settings name on the data; report and publish the result.

    Returns:
        The result; None if a resumed run was finished before.
    """
    import keras
    import tensorflow as tf

    from tfd2l.book.trainer import Trainer
    from tfd2l.export.publish import check_writable
    from tfd2l.train.build import build_model
    from tfd2l.train.config import settings_to_keep
    from tfd2l.train.finish import Publication, check_interface, finish
    from tfd2l.train.model import choose_model, describe_file
    from tfd2l.train.records import origin
    from tfd2l.train.resume import (
        LearningRate,
        check_data,
        find_resume_point,
        say_changed_file,
    )

    base, about_data = config.export_dir / config.served_name, data.describe()
    checkpoint = None
    if changes is not None:
        check_data(directory, about_data)
        checkpoint, finished = find_resume_point(directory, changes, say=print)
        if finished is not None:
            print(f"the run in {directory.path} is finished; {finished}")
            return None
    # Before the epochs, and before the settings of a resumed run are replaced.
    if config.export != "none":
        check_writable(base)
        check_interface(base, data, config.publish_anyway)
    keras.utils.set_random_seed(config.seed)
    cls, arguments = choose_model(config, data)
    stop = StopOnSignal(directory.keep)
    trainer = Trainer(
        config.epochs,
        num_gpus=NUM_GPUS[config.device],
        gradient_clip_val=config.gradient_clip_val,
        run_eagerly=config.run_eagerly,
        jit_compile=False if config.deterministic else config.jit_compile,
        steps_per_execution=config.checkpoint_every,
        # The directory keeps an epoch before the fit stops at its end.
        callbacks=[directory, *early_stopping(config.early_stopping), stop],
    )
    if changes is not None:
        trainer.callbacks.append(LearningRate(config.lr))
    with tf.device(trainer.device):
        model = build_model(cls, arguments, config, data)
    kept, file = settings_to_keep(config, arguments), describe_file(config.model)
    if changes is not None:
        say_changed_file(directory, file, say=print)
    directory.keep_settings(kept, about_data, changes, origin(flags, file))
    card = {"model": config.model, "settings": kept, "data": about_data}
    with stop:
        trainer.fit(model, data, checkpoint)
        stop.end_at_once()
        publication = Publication(
            base, config.keep_versions, config.export, config.publish_anyway, card
        )
        result = finish(trainer, data, directory, publication)
    if config.dry_run:
        print(f"\n{result.text}")
    else:
        show(result, directory)
    return result


def early_stopping(patience: int | None) -> list[Any]:
    """The callback that ends a fit early, if it is wanted."""
    from tfd2l.book.callbacks.early_stopping import EarlyStopping

    return [] if patience is None else [EarlyStopping("val_loss", patience=patience)]


def show(result: Result, directory: RunDirectory) -> None:
    """Print the results of the run and the places of its parts."""
    print(f"\n{result.text}")
    print(f"run     {directory.path}")
    if result.best is not None:
        print(f"best    {result.best}")
    look = shell_line("tensorboard.main", "--logdir", directory.path.parent)
    if result.export is None:
        later = shell_line("tfd2l.train", "--publish", directory.path)
        print(f"kept    not published: {result.reason}\n        {later}")
        print(f"look    {look}")
        return
    print(f"export  {result.export}")
    show_all = ("tensorflow.python.tools.saved_model_cli", "show", "--all", "--dir", result.export)
    print(f"look    {look}\n        {shell_line(*show_all)}")


def suggest(error: Exception, run_path: Path, lr: float) -> None:
    """Print how to resume a run that an error ended, where that may help."""
    from tfd2l.engine.errors import DivergedError
    from tfd2l.export.saved_model import ExportError

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
