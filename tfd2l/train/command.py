"""`python -m tfd2l.train`: trains a model of the book, keeps the run, exports the model.

Read from the top, this is the story of a run: settings, data, model, trainer, fit, report, export.
Flags are read before TensorFlow is imported, and the data is loaded and verified meanwhile.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
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
    from tfd2l.train.build import Data
    from tfd2l.train.config import TrainConfig
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

    from tfd2l.train.config import from_settings
    from tfd2l.train.flags import parse

    config = parse(flags)
    # After the flags: it imports NumPy.
    from pipelines import fashion_mnist

    changes = None
    if config.resume is not None:
        changes = config.changes
        settings = read_record(config.resume)["settings"]
        config = from_settings({**settings, **changes, "run_dir": config.resume})
    with ThreadPoolExecutor(1) as pool:
        loading = None
        if not config.is_linear:
            loading = pool.submit(fashion_mnist.load, config.data_dir, say=print)
        with collector_paused():
            prepare_tensorflow(config.device, config.precision, config.seed, config.deterministic)
        return run(config, loading, changes)


def prepare_tensorflow(device: str, precision: str, seed: int, deterministic: bool) -> None:
    """Import TensorFlow and the modules on top of it, choose devices and precision, set seeds."""
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

    for module in ("build", "finish", "resume"):
        importlib.import_module(f"tfd2l.train.{module}")
    from tfd2l.book.devices import choose_device

    # A device that is not there is an error before anything is written.
    choose_device(NUM_GPUS[device])
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(precision)


def run(config: TrainConfig, loading: Loading | None, changes: Changes | None) -> int:
    """Make or reopen the run's directory, train in it, and say how to go on after an error.

    Args:
        config: all settings.
        loading: the images, which may still be loading; None for models that need none.
        changes: the settings that a resumed run is to change; None begins a new run.

    Returns:
        The exit status.
    """
    from tfd2l.export.publish import check_writable
    from tfd2l.train.build import make_data
    from tfd2l.train.run_directory import RunDirectory, new_run_path

    path = config.run_dir
    try:
        arrays = None if loading is None else loading.result()
        data = make_data(arrays, config.batch_size, config.resize, config.seed, say=print)
        if changes is None:
            # Also before the run's directory is made.
            check_writable(config.export_dir / config.model)
        path = path or new_run_path(Path("runs"), config.model)
        directory = RunDirectory(path, changes is not None, config.checkpoint_every)
        with contextlib.closing(directory):
            train(config, data, directory, changes)
    except InterruptedRunError as error:
        print(f"{error}; resume with --resume {shlex.quote(str(path))}", file=sys.stderr)
        return 128 + error.signal_number
    except (Tfd2lError, OSError) as error:
        status = complain(error)
        if path is not None:
            suggest(error, path, config.lr)
        return status
    return 0


def train(
    config: TrainConfig, data: Data, directory: RunDirectory, changes: Changes | None
) -> None:
    """Train the model that the settings name on the data; report and publish the result."""
    import tensorflow as tf

    from tfd2l.book.trainer import Trainer
    from tfd2l.export.publish import check_writable
    from tfd2l.train.build import make_model
    from tfd2l.train.config import settings_to_keep
    from tfd2l.train.finish import Publication, finish
    from tfd2l.train.resume import LearningRate, check_data, find_resume_point

    base, about_data = config.export_dir / config.model, data.describe()
    checkpoint = None
    if changes is not None:
        check_data(directory, about_data)
        checkpoint, finished = find_resume_point(directory, changes, say=print)
        if finished is not None:
            print(f"the run in {directory.path} is finished; its export is {finished}")
            return
    # Before the epochs, and before the settings of a resumed run are replaced.
    check_writable(base)
    directory.keep_settings(settings_to_keep(config), about_data, changes)

    stop = StopOnSignal(directory.keep)
    trainer = Trainer(
        config.epochs,
        num_gpus=NUM_GPUS[config.device],
        gradient_clip_val=config.gradient_clip_val,
        run_eagerly=config.run_eagerly,
        jit_compile=False if config.deterministic else config.jit_compile,
        steps_per_execution=config.checkpoint_every,
        # The directory keeps an epoch before the fit stops at its end.
        callbacks=[directory, stop],
    )
    if changes is not None:
        trainer.callbacks.append(LearningRate(config.lr))
    with tf.device(trainer.device):
        model = make_model(config.model, config.resize, config.num_hiddens, config.lr)
    card = {"model": config.model, "settings": config.model_dump(mode="json"), "data": about_data}
    with stop:
        trainer.fit(model, data, checkpoint)
        stop.end_at_once()
        publication = Publication(base, config.keep_versions, config.precision, card)
        results, export = finish(trainer, data, directory, publication)
    show(results, export, directory.path, directory.best_checkpoint(trainer.history))


def show(results: str, export: Path, run_path: Path, best: Path | None) -> None:
    """Print the results of the run and the places of its parts."""
    print(f"\n{results}")
    print(f"run     {run_path}")
    if best is not None:
        print(f"best    {best}")
    print(f"export  {export}")
    show_all = ("tensorflow.python.tools.saved_model_cli", "show", "--all", "--dir", export)
    print(f"look    {shell_line('tensorboard.main', '--logdir', run_path.parent)}")
    print(f"        {shell_line(*show_all)}")


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
