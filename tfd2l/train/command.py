"""`python -m tfd2l.train`: train a model of the book, keep the run, export the model.

The one place that puts the parts together. Flags and settings are read before TensorFlow is
imported, and the data is found, read and verified while it is.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tfd2l.common.output import lasting_output
from tfd2l.common.startup import collector_paused, quiet_start
from tfd2l.train.interrupt import InterruptedRunError, StopOnSignal
from tfd2l.train.records import RECORD_FILE, RunError, read_record

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipelines.fashion_mnist import Arrays
    from tfd2l.book.data import FashionMNIST, SyntheticRegressionData
    from tfd2l.book.module import Module
    from tfd2l.book.trainer import Trainer
    from tfd2l.engine.callback import Callback
    from tfd2l.train.config import TrainConfig
    from tfd2l.train.finish import Outcome
    from tfd2l.train.run_directory import RunDirectory

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
# The true parameters of the synthetic data, as in the book's section 3.4.
TRUE_W, TRUE_B = (2.0, -3.4), 4.2
NUM_GPUS = {"auto": None, "cpu": 0, "gpu": 1}
LoadedSoon: TypeAlias = "Future[Arrays]"
Data: TypeAlias = "FashionMNIST | SyntheticRegressionData"
Changes: TypeAlias = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Gives its exit status: 0, 2 (a wrong setting or file), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    with lasting_output():
        try:
            return configure_and_run(sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:
            print("interrupted before training began", file=sys.stderr)
            return EXIT_INTERRUPTED


def configure_and_run(argv: Sequence[str]) -> int:
    """Read flags and settings, and get the data while TensorFlow is imported; then train."""
    # Half a second is spent in these, in which a Ctrl-C is to find main() at work.
    from concurrent.futures import ThreadPoolExecutor

    from pipelines import fashion_mnist
    from tfd2l.train.config import ConfigError, from_settings, parse

    try:
        config = asked = parse(argv)
        resume = asked.resume
        if resume is not None:
            settings = read_record(resume)["settings"]
            config = from_settings({**settings, **asked.changes, "run_dir": resume})
    except (ConfigError, RunError) as error:
        return _complain(error)
    with ThreadPoolExecutor(1) as pool:
        loaded = None
        if not config.is_linear:
            loaded = pool.submit(fashion_mnist.load, config.data_dir, say=print)
        with quiet_start(), collector_paused():
            prepare_tensorflow(config)
        return run(config, loaded, None if resume is None else asked.changes)


def prepare_tensorflow(config: TrainConfig) -> None:
    """Import TensorFlow and everything on top of it, choose the devices and set the seeds."""
    if config.deterministic:
        # Where a CPU has no AVX-512 TensorFlow would take Eigen's matrix products, whose sums
        # depend on the number of threads; oneDNN's don't.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    import tensorflow as tf

    if config.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    tf.config.list_logical_devices()
    import keras

    for module in ("finish", "progress", "resume"):
        importlib.import_module(f"tfd2l.train.{module}")

    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(config.precision)


def run(config: TrainConfig, loaded: LoadedSoon | None, changes: Changes | None) -> int:
    """Train as configured, on data that may still be on its way; gives the exit status.

    Args:
        config: all settings.
        loaded: the images, for the models that need them.
        changes: of a run that is gone on with, what is not as it was; None begins a run.
    """
    from pipelines.idx_files import DataError
    from tfd2l.book.devices import DeviceError
    from tfd2l.engine.errors import CheckpointError, CompileError, DivergedError, StepError
    from tfd2l.export.saved_model import ExportError
    from tfd2l.train.finish import UnfitModelError
    from tfd2l.train.run_directory import RunDirectory, new_run_path

    path = config.run_dir
    try:
        data = make_data(config, loaded)
        path = path or new_run_path(Path("runs"), config.model)
        directory = RunDirectory(path, changes is not None, config.checkpoint_every)
        with contextlib.closing(directory):
            train(config, data, directory, changes)
    except InterruptedRunError as error:
        print(f"{error}; go on with --resume {path}", file=sys.stderr)
        return 128 + error.signal_number
    except (
        CheckpointError, CompileError, DataError, DeviceError, DivergedError, ExportError, RunError,
        StepError, UnfitModelError, OSError,
    ) as error:  # fmt: skip
        status = _complain(error)
        if path and (path / RECORD_FILE).exists():
            if isinstance(error, OSError | ExportError):
                print(f"when that is mended, go on with --resume {path}", file=sys.stderr)
            elif isinstance(error, DivergedError) and any((path / "checkpoints").glob("epoch-*")):
                again = f"--resume {path} --lr {config.lr / 10:g}"
                print(f"from its last checkpoint the run goes on with {again}", file=sys.stderr)
        return status
    return 0


def train(
    config: TrainConfig, data: Data, directory: RunDirectory, changes: Changes | None
) -> None:
    """Fit a model to the data, draw what became of it, publish its export, and show all that."""
    import tensorflow as tf

    from tfd2l.export.publish import check_writable
    from tfd2l.train.finish import conclude
    from tfd2l.train.progress import ConsoleProgress
    from tfd2l.train.resume import LearningRate, check_data, take_up

    stop, progress = StopOnSignal(directory.keep), ConsoleProgress()
    # What keeps an epoch comes before what shows it.
    trainer = make_trainer(config, [directory, stop, progress])
    about_data, checkpoint = describe(data), None
    if changes is not None:
        check_data(directory, about_data)
        checkpoint, export = take_up(directory, changes, say=print)
        if export is not None:
            print(f"the run in {directory.path} is finished; its export is {export}")
            return
        trainer.callbacks.append(LearningRate(config.lr))
    # Not after all the epochs, and not after the old settings are gone.
    check_writable(config.export_dir / config.model)
    if changes is None:
        directory.write_config(settings_of(config), about_data)
    elif changes:
        directory.change_settings(settings_of(config))
    with tf.device(trainer.device):
        model = make_model(config)
    with stop, contextlib.closing(progress):
        trainer.fit(model, data, checkpoint)
        stop.end_at_once()
        show(conclude(config, data, directory, trainer, about_data), directory, trainer)


def show(outcome: Outcome, directory: RunDirectory, trainer: Trainer) -> None:
    """Say how the run ended, and where its parts are."""
    best = directory.best_checkpoint(trainer.history)
    print(f"\n{outcome.results}")
    print(f"run     {directory.path}")
    if best is not None:
        print(f"best    {best}")
    print(f"export  {outcome.export}")
    print(f"look    tensorboard --logdir {directory.path.parent}")
    print(f"        saved_model_cli show --all --dir {outcome.export}")


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The settings to be kept with the run, with paths that hold wherever it is gone on from."""
    settings = config.model_dump(mode="json")
    paths = {"export_dir": config.export_dir, "data_dir": config.data_dir}
    whole = {name: str(path.absolute()) for name, path in paths.items() if path is not None}
    return {name: value for name, value in {**settings, **whole}.items() if name != "run_dir"}


def make_trainer(config: TrainConfig, callbacks: Sequence[Callback]) -> Trainer:
    """The trainer that the configuration describes."""
    from tfd2l.book.trainer import Trainer

    return Trainer(
        config.epochs,
        num_gpus=NUM_GPUS[config.device],
        gradient_clip_val=config.gradient_clip_val,
        run_eagerly=config.run_eagerly,
        jit_compile=False if config.deterministic else config.jit_compile,
        steps_per_execution=config.checkpoint_every,
        callbacks=callbacks,
    )


def make_data(config: TrainConfig, loaded: LoadedSoon | None) -> Data:
    """The data module that the model trains on; says where its data came from."""
    from tfd2l.book.data import FashionMNIST, SyntheticRegressionData

    if loaded is None:
        print(f"data: 1,000 + 1,000 made-up examples of y = Xw + b, w = {TRUE_W}, b = {TRUE_B}")
        return SyntheticRegressionData(
            TRUE_W, TRUE_B, batch_size=config.batch_size, seed=config.seed
        )
    arrays = loaded.result()
    print(f"data: Fashion-MNIST from {arrays.source}")
    return FashionMNIST(config.batch_size, config.resize, seed=config.seed, arrays=arrays)


def describe(data: Data) -> dict[str, Any]:
    """What is kept with a run and its export about the data."""
    about = {"name": type(data).__name__, "seed": data.seed}
    return about | {key: getattr(data, key) for key in ("source", "sha256") if hasattr(data, key)}


def make_model(config: TrainConfig) -> Module:
    """The model that the configuration names, with fresh parameters."""
    from pipelines.fashion_mnist import LABELS
    from tfd2l.book.models import linear, mlp, softmax

    inputs = config.resize[0] * config.resize[1]
    outputs, hiddens, lr = len(LABELS), config.num_hiddens, config.lr
    makers: dict[str, Callable[[], Module]] = {
        "linear-scratch": lambda: linear.LinearRegressionScratch(len(TRUE_W), lr),
        "linear": lambda: linear.LinearRegression(lr),
        "softmax-scratch": lambda: softmax.SoftmaxRegressionScratch(inputs, outputs, lr),
        "softmax": lambda: softmax.SoftmaxRegression(outputs, lr),
        "mlp-scratch": lambda: mlp.MLPScratch(inputs, outputs, hiddens, lr),
        "mlp": lambda: mlp.MLP(outputs, hiddens, lr),
    }
    return makers[config.model]()


def _complain(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_USAGE
