"""`python -m tfd2l.train`: train a model of the book, keep the run, export the model.

The one place that puts the parts together. Flags and settings are read before TensorFlow is
imported, and the data is found, read and verified while it is.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tfd2l.collector import collector_paused
from tfd2l.config import ConfigError, TrainConfig, from_settings, parse
from tfd2l.interrupt import InterruptedRunError, StopOnSignal
from tfd2l.quiet import quiet_start
from tfd2l.record import RECORD_FILE, RunError, read_record

if TYPE_CHECKING:
    from tfd2l.data import DataModule, FashionMNIST, SyntheticRegressionData
    from tfd2l.history import History
    from tfd2l.models.linear import LinearRegression, LinearRegressionScratch
    from tfd2l.module import Classifier, Module
    from tfd2l.run import RunDirectory
    from tfd2l.trainer import Trainer

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
# The true parameters of the synthetic data, as in the book's section 3.4.
TRUE_W, TRUE_B = (2.0, -3.4), 4.2
NUM_GPUS = {"auto": None, "cpu": 0, "gpu": 1}
# How far an exported model's probabilities may be from the model's own: rounding in another order.
TOLERANCE = {"float32": 1e-4, "mixed_bfloat16": 0.02, "mixed_float16": 0.02}
LoadedSoon = Future[fashion_mnist.Arrays]


@dataclass(frozen=True)
class Outcome:
    """What a finished run has to show: a line or two of results, and its export's directory."""

    results: str
    export: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Gives its exit status: 0, 2 (a wrong setting or file), 130 (Ctrl-C) or 143 (SIGTERM).
    """
    try:
        config = parse(sys.argv[1:] if argv is None else argv)
        resume = config.resume
        if resume is not None:
            config = from_settings({**read_record(resume)["settings"], "run_dir": resume})
    except (ConfigError, RunError) as error:
        return _complain(error)
    with ThreadPoolExecutor(1) as pool:
        loaded = None
        if not config.is_linear:
            loaded = pool.submit(fashion_mnist.load, config.data_dir, say=print)
        try:
            with quiet_start(), collector_paused():
                prepare_tensorflow(config)
            return run(config, loaded, resume is not None)
        except KeyboardInterrupt:
            print("interrupted before training began", file=sys.stderr)
            return EXIT_INTERRUPTED


def prepare_tensorflow(config: TrainConfig) -> None:
    """Import TensorFlow and everything on top of it, choose the devices and set the seeds."""
    import tensorflow as tf

    if config.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    tf.config.list_logical_devices()
    import keras

    for module in ("data", "models.linear", "publish", "report", "run"):
        importlib.import_module(f"tfd2l.{module}")

    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(config.precision)


def run(config: TrainConfig, loaded: LoadedSoon | None, resume: bool) -> int:
    """Train as configured, on data that may still be on its way; gives the exit status."""
    from tfd2l.checkpoint import CheckpointError
    from tfd2l.devices import DeviceError
    from tfd2l.errors import DivergedError
    from tfd2l.progress import ConsoleProgress
    from tfd2l.run import RunDirectory, new_run_path
    from tfd2l.saved_model import ExportError
    from tfd2l.step import CompileError, StepError

    progress, path = ConsoleProgress(), config.run_dir
    try:
        data = make_data(config, loaded)
        path = path or new_run_path(Path("runs"), config.model)
        directory = RunDirectory(path, resume, config.checkpoint_every)
        if directory.export is not None:
            print(f"the run in {path} is finished; its export is {directory.export}")
            return 0
        outcome = train(config, data, progress, directory, resume)
        directory.finish(outcome.export)
    except InterruptedRunError as error:
        progress.close()
        print(f"{error}; go on with --resume {path}", file=sys.stderr)
        return 128 + error.signal_number
    except (
        CheckpointError, CompileError, DataError, DeviceError, DivergedError, ExportError, RunError,
        StepError, OSError,
    ) as error:  # fmt: skip
        progress.close()
        status = _complain(error)
        if isinstance(error, OSError | ExportError) and path and (path / RECORD_FILE).exists():
            print(f"when that is mended, go on with --resume {path}", file=sys.stderr)
        return status
    print(f"\n{outcome.results}")
    print(f"run     {directory.path}")
    print(f"export  {outcome.export}")
    print(f"look    tensorboard --logdir {directory.path.parent}")
    print(f"        saved_model_cli show --all --dir {outcome.export}")
    return 0


def train(
    config: TrainConfig, data: DataModule, progress: Any, directory: RunDirectory, resume: bool
) -> Outcome:
    """Fit a model to the data, draw what became of it, and publish its export."""
    import tensorflow as tf

    from tfd2l.trainer import Trainer

    stop = StopOnSignal(directory.keep)
    trainer = Trainer(
        config.epochs,
        num_gpus=NUM_GPUS[config.device],
        gradient_clip_val=config.gradient_clip_val,
        run_eagerly=config.run_eagerly,
        jit_compile=False if config.deterministic else config.jit_compile,
        steps_per_call=config.checkpoint_every,
        callbacks=[progress, directory, stop],
    )
    about_data, checkpoint = describe(data), None
    if resume:
        directory.check_data(about_data)
        checkpoint = directory.last_good_checkpoint(say=print)
    else:
        directory.write_config(settings_of(config), about_data)
    with tf.device(trainer.device):
        model = make_model(config)
    with stop:
        history = trainer.fit(model, data, checkpoint)
        # From here on there is no step to wait for.
        stop.at_once = True
        return finish(config, data, directory, trainer, model, history, about_data)


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """The settings to be kept with the run, with paths that hold wherever it is gone on from."""
    settings = config.model_dump(mode="json")
    paths = {"export_dir": config.export_dir, "data_dir": config.data_dir}
    whole = {name: str(path.absolute()) for name, path in paths.items() if path is not None}
    return {name: value for name, value in {**settings, **whole}.items() if name != "run_dir"}


def finish(
    config: TrainConfig,
    data: DataModule,
    directory: RunDirectory,
    trainer: Trainer,
    model: Any,
    history: History,
    about_data: dict[str, Any],
) -> Outcome:
    """Draw what became of the model, and publish its export."""
    from tfd2l.report import write_curves

    directory.write_metrics(history)
    write_curves(directory.path, trainer)
    card = {
        "model": config.model,
        "settings": config.model_dump(mode="json"),
        "data": about_data,
        "metrics": {name: column[-1] for name, column in history.items()},
        "run": directory.path.name,
    }
    conclude: Callable[..., Outcome] = conclude_regression if config.is_linear else conclude_images
    return conclude(config, model, data, directory.path, card)


def make_data(config: TrainConfig, loaded: LoadedSoon | None) -> DataModule:
    """The data module that the model trains on; says where its data came from."""
    from tfd2l.data import FashionMNIST, SyntheticRegressionData

    if loaded is None:
        print(f"data: 1,000 + 1,000 made-up examples of y = Xw + b, w = {TRUE_W}, b = {TRUE_B}")
        return SyntheticRegressionData(
            TRUE_W, TRUE_B, batch_size=config.batch_size, seed=config.seed
        )
    arrays = loaded.result()
    print(f"data: Fashion-MNIST from {arrays.source}")
    return FashionMNIST(config.batch_size, config.resize, seed=config.seed, arrays=arrays)


def describe(data: DataModule) -> dict[str, Any]:
    """What is kept with a run and its export about the data."""
    about = {"name": type(data).__name__, "seed": data.seed}
    return about | {key: getattr(data, key) for key in ("source", "sha256") if hasattr(data, key)}


def make_model(config: TrainConfig) -> Module:
    """The model that the configuration names, with fresh parameters."""
    from tfd2l.models import linear, mlp, softmax

    inputs = config.resize[0] * config.resize[1]
    outputs, hiddens, lr = len(fashion_mnist.LABELS), config.num_hiddens, config.lr
    makers: dict[str, Callable[[], Module]] = {
        "linear-scratch": lambda: linear.LinearRegressionScratch(len(TRUE_W), lr),
        "linear": lambda: linear.LinearRegression(lr),
        "softmax-scratch": lambda: softmax.SoftmaxRegressionScratch(inputs, outputs, lr),
        "softmax": lambda: softmax.SoftmaxRegression(outputs, lr),
        "mlp-scratch": lambda: mlp.MLPScratch(inputs, outputs, hiddens, lr),
        "mlp": lambda: mlp.MLP(outputs, hiddens, lr),
    }
    return makers[config.model]()


def conclude_images(
    config: TrainConfig, model: Classifier, data: FashionMNIST, run: Path, card: dict[str, Any]
) -> Outcome:
    """Draw what a classifier of images gets wrong, and publish its export."""
    from pipelines.images import prepare_images
    from tfd2l.checks import classifier_checks
    from tfd2l.export import export_classifier
    from tfd2l.publish import publish
    from tfd2l.report import predict_logits, write_classifier_report

    labels = fashion_mnist.LABELS
    images, classes = data.val

    def preprocess(raw: Any) -> Any:
        return prepare_images(raw, config.resize)

    logits = predict_logits(model.logits, preprocess, images)
    write_classifier_report(run, images, classes, logits, labels)
    accuracy = float((logits.argmax(axis=1) == classes).mean())
    checks = classifier_checks(
        model, images, labels=labels, preprocess=preprocess, tolerance=TOLERANCE[config.precision]
    )
    version = publish(
        lambda directory: export_classifier(
            model, directory, labels=labels, preprocess=preprocess, image_shape=images.shape[1:]
        ),
        config.export_dir / config.model,
        checks=checks,
        card=card,
    )
    return Outcome(f"validation accuracy {accuracy:.4f} on {len(images):,} images", version)


def conclude_regression(
    config: TrainConfig,
    model: LinearRegression | LinearRegressionScratch,
    data: SyntheticRegressionData,
    run: Path,
    card: dict[str, Any],
) -> Outcome:
    """Say how far the parameters are from the true ones, and publish the model's export."""
    import numpy as np

    from tfd2l.checks import regressor_checks
    from tfd2l.export import export_regressor
    from tfd2l.publish import publish

    w, b = (parameter.numpy().ravel() for parameter in model.get_w_b())
    w_error, b_error = np.subtract(TRUE_W, w), np.subtract(TRUE_B, b)
    version = publish(
        lambda directory: export_regressor(model, directory, num_inputs=len(TRUE_W)),
        config.export_dir / config.model,
        checks=regressor_checks(model, data.X.numpy()[data.num_train :]),
        card=card,
    )
    return Outcome(f"error in estimating w: {w_error}\nerror in estimating b: {b_error}", version)


def _complain(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return EXIT_USAGE


if __name__ == "__main__":
    status = main()
    # Nothing of it needs to be looked through once more at exit.
    gc.freeze()
    sys.exit(status)
