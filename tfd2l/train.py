"""`python -m tfd2l.train`: train a model of the book, keep the run, export the model.

The one place that puts the parts together. Flags and settings are read before TensorFlow is
imported, and the data is found, read and verified while it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tfd2l.config import ConfigError, TrainConfig, parse

if TYPE_CHECKING:
    from tfd2l.data import DataModule
    from tfd2l.module import Module
    from tfd2l.trainer import Trainer

# The true parameters of the synthetic data, as in the book's section 3.4.
TRUE_W, TRUE_B = (2.0, -3.4), 4.2
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status: 0, 2 (a wrong setting or file) or 130 (Ctrl-C)."""
    try:
        config = parse(sys.argv[1:] if argv is None else argv)
        with ThreadPoolExecutor(1) as pool:
            arrays = None
            if not config.is_linear:
                arrays = pool.submit(fashion_mnist.load, config.data_dir, say=print)
            return train(config, arrays)
    except (ConfigError, DataError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("interrupted before training began", file=sys.stderr)
        return EXIT_INTERRUPTED


def train(config: TrainConfig, arrays: Future[fashion_mnist.Arrays] | None) -> int:
    """Train as configured, on arrays that may still be on their way; gives the exit status."""
    with quiet_start():
        import tensorflow as tf

        if config.device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        import keras

        from tfd2l.checkpoint import CheckpointError
        from tfd2l.devices import DeviceError
        from tfd2l.export import ExportError
        from tfd2l.progress import ConsoleProgress
        from tfd2l.run import RunDirectory, RunError, new_run_path
        from tfd2l.trainer import Trainer

        keras.utils.set_random_seed(config.seed)
        keras.config.set_dtype_policy(config.precision)
    progress = ConsoleProgress()
    run = None
    try:
        data = make_data(config, arrays)
        trainer = Trainer(
            config.epochs,
            num_gpus={"auto": None, "cpu": 0, "gpu": 1}[config.device],
            gradient_clip_val=config.gradient_clip_val,
            run_eagerly=config.run_eagerly,
            jit_compile=config.jit_compile,
            callbacks=[progress],
        )
        run = RunDirectory(config.run_dir or new_run_path(Path("runs"), config.model))
        run.write_config(config.model_dump(mode="json"), describe(data))
        trainer.callbacks.append(run)
        with tf.device(trainer.device):
            model = make_model(config)
        trainer.fit(model, data)
        conclude(config, run.path, trainer, data)
    except (CheckpointError, DataError, DeviceError, ExportError, RunError, OSError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        kept = f"; what was finished is in {run.path}" if run is not None else ""
        print(f"interrupted{kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        progress.close()
    return 0


def make_data(config: TrainConfig, arrays: Future[fashion_mnist.Arrays] | None) -> DataModule:
    """The data module that the model trains on."""
    from tfd2l.data import FashionMNIST, SyntheticRegressionData

    if arrays is None:
        return SyntheticRegressionData(
            np.array(TRUE_W), TRUE_B, batch_size=config.batch_size, seed=config.seed
        )
    loaded = arrays.result()
    print(f"data: Fashion-MNIST from {loaded.source}")
    return FashionMNIST(config.batch_size, config.resize, seed=config.seed, arrays=loaded)


def make_model(config: TrainConfig) -> Module:
    """The model that the configuration names, with fresh parameters."""
    from tfd2l.models.linear import LinearRegression, LinearRegressionScratch
    from tfd2l.models.mlp import MLP, MLPScratch
    from tfd2l.models.softmax import SoftmaxRegression, SoftmaxRegressionScratch

    num_inputs = config.resize[0] * config.resize[1]
    num_outputs = len(fashion_mnist.LABELS)
    makers: dict[str, Callable[[], Module]] = {
        "linear-scratch": lambda: LinearRegressionScratch(len(TRUE_W), config.lr),
        "linear": lambda: LinearRegression(config.lr),
        "softmax-scratch": lambda: SoftmaxRegressionScratch(num_inputs, num_outputs, config.lr),
        "softmax": lambda: SoftmaxRegression(num_outputs, config.lr),
        "mlp-scratch": lambda: MLPScratch(num_inputs, num_outputs, config.num_hiddens, config.lr),
        "mlp": lambda: MLP(num_outputs, config.num_hiddens, config.lr),
    }
    return makers[config.model]()


def conclude_classifier(
    config: TrainConfig, run: Path, trainer: Trainer, data: FashionMNIST
) -> Path:
    """Draw what the model gets wrong, and export it; gives the export's directory."""
    from tfd2l.checks import classifier_checks
    from tfd2l.export import export_classifier
    from tfd2l.publish import publish
    from tfd2l.report import predict_logits, write_classifier_report

    model, labels = trainer.model, fashion_mnist.LABELS
    images, classes = data.val

    def preprocess(raw: tf.Tensor) -> tf.Tensor:
        return prepare_images(raw, config.resize)

    logits = predict_logits(model.logits, preprocess, images)
    accuracy = float((logits.argmax(axis=1) == classes).mean())
    print(f"\nvalidation accuracy {accuracy:.4f} on {len(images):,} images")
    write_classifier_report(run, images, classes, logits, labels)
    return publish(
        lambda directory: export_classifier(
            model, directory, labels=labels, preprocess=preprocess, image_shape=images.shape[1:]
        ),
        config.export_dir / config.model,
        checks=classifier_checks(
            model, images, labels=labels, preprocess=preprocess, tolerance=TOLERANCE[config.precision]
        ),
        card=make_card(config, run, trainer, data),
    )


def conclude_regression(
    config: TrainConfig, run: Path, trainer: Trainer, data: SyntheticRegressionData
) -> Path:
    """Say how far the parameters are from the true ones, and export the model."""
    from tfd2l.checks import regressor_checks
    from tfd2l.export import export_regressor
    from tfd2l.publish import publish

    model = trainer.model
    w, b = model.get_w_b()
    print(f"\nerror in estimating w: {data.w.numpy() - np.reshape(w, data.w.shape)}")
    print(f"error in estimating b: {data.b - np.ravel(b)}")
    return publish(
        lambda directory: export_regressor(model, directory, num_inputs=len(TRUE_W)),
        config.export_dir / config.model,
        checks=regressor_checks(model, data.X.numpy()[data.num_train :]),
        card=make_card(config, run, trainer, data),
    )
