"""The trainer: fits a model to data with the model's own steps, compiled by default. D2L 3.2.4.

The idea, without the machinery of `engine/`:

    for epoch in range(max_epochs):
        for batch in data.train_dataloader():
            with tf.GradientTape() as tape:
                loss = model.training_step(batch)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        for batch in data.val_dataloader():
            model.validation_step(batch)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import real_number, whole_number
from tfd2l.book.callbacks.progress import progress_shown
from tfd2l.book.devices import check_placement, choose_placement
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.book.module import Module
from tfd2l.engine.base_trainer import BaseTrainer
from tfd2l.engine.callback import Callback, in_order
from tfd2l.engine.checks import (
    check_callbacks,
    check_gradients,
    check_methods,
    loss_of,
    optimizer_of,
)
from tfd2l.engine.distribution.facts import optimizer_facts
from tfd2l.engine.errors import DivergedError
from tfd2l.engine.history import History
from tfd2l.engine.loaders import Batch, example_of, loader_of
from tfd2l.engine.metrics import NO_BATCHES
from tfd2l.engine.optimizer import (
    apply_gradients,
    build_for,
    clip_by_global_norm,
    finalize,
    scaled_loss,
    with_loss_scale,
)
from tfd2l.engine.state import FitAttribute
from tfd2l.engine.tracing.python_state import PythonState
from tfd2l.engine.tracing.step import Named, Step
from tfd2l.engine.variables import saved_variables, tf_variable

__all__ = ["Trainer"]


class Trainer(BaseTrainer, HyperParameters):
    """Fits a model to data: epochs of training steps, each followed by a full validation.

    The model's own `training_step`, `validation_step`, `loss`, `forward` and optimizer run inside
    a compiled graph, and so does every `self.plot(...)` in them. They are traced at the start of
    every fit, so methods that were patched into the class take effect at the next fit.

    Attributes:
        epoch: completed epochs, while the epoch after them runs.
        train_batch_idx: training steps since the start of the fit.
        val_batch_idx: validation steps since the start of the fit.
        num_train_batches: steps in a training pass; None while that is unknown.
        num_val_batches: steps in a validation pass, 0 without validation data; None while that
            is unknown.
        history: a list for each column: 'epoch', 'train_loss', 'val_loss', ..., 'seconds'.
        state: the state of the fit beside the variables; checkpoints save it.
        should_stop: a callback, an eager step or a user's `fit_epoch` sets it to end the fit. The
            training pass ends when Python next has control, after the running compiled call; the
            epoch's validation follows.
        max_epochs: a callback may change it during the fit.

    Example:
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> trainer = d2l.Trainer(max_epochs=3, enable_progress_bar=False)
        >>> history = trainer.fit(model, data)
        >>> history["epoch"], history["val_loss"][-1] < history["val_loss"][0] / 10
        ([1.0, 2.0, 3.0], True)
        >>> trainer.validate(model, data)["val_loss"] == history["val_loss"][-1]
        True

    Source: D2L 3.2.4 and 3.4.4.
    """

    # The trainer's methods that run inside a step.
    TRACED_METHODS = ("prepare_batch", "clip_gradients")
    # Counters change from step to step; a compiled step that reads one is run eagerly.
    epoch = FitAttribute("_recorder.epoch", in_steps=False)
    train_batch_idx = FitAttribute("state.train_batch_idx", in_steps=False)
    val_batch_idx = FitAttribute("state.val_batch_idx", in_steps=False)
    num_train_batches = FitAttribute("state.num_train_batches")
    num_val_batches = FitAttribute("state.num_val_batches")
    history = FitAttribute("state.history")
    max_epochs: int
    gradient_clip_val: float
    run_eagerly: bool | None
    jit_compile: bool | None
    steps_per_execution: int | None
    enable_progress_bar: bool

    def __init__(
        self,
        max_epochs: int,
        num_gpus: int | None = None,
        gradient_clip_val: float = 0,
        *,
        run_eagerly: bool | None = None,
        jit_compile: bool | None = None,
        steps_per_execution: int | None = None,
        strategy: tf.distribute.Strategy | None = None,
        callbacks: Callback | Sequence[Callback] = (),
        enable_progress_bar: bool = True,
    ) -> None:
        """Set up.

        Args:
            max_epochs: passes over the training data, at least 1.
            num_gpus: 0 trains on the CPU, 1 on the first GPU, more on as many that share every
                batch; None takes a GPU if there is one.
            gradient_clip_val: the largest joint l2 norm of the gradients; 0 doesn't clip.
            run_eagerly: True runs the steps as plain Python, to debug them; False insists on
                compiling them; None compiles, and falls back to eager with a warning.
            jit_compile: True compiles with XLA, False as a plain TensorFlow graph; None begins as
                a graph and switches to XLA where that gives the same results and pays.
            steps_per_execution: end compiled calls, after which the callbacks run, at each
                multiple of so many steps; None ends them a few times a second.
            strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`, whose
                replicas share every batch; instead of `num_gpus`.
            callbacks: called in their order.
            enable_progress_bar: show the progress of a fit: on a terminal a bar, and everywhere a
                line for each epoch. A notebook shows the model's board instead.

        Raises:
            TypeError: a callback is not a d2l.Callback.
            ValueError: a number out of range, or both `run_eagerly` and `jit_compile`.
            DeviceError: TensorFlow sees fewer GPUs, or the strategy is of another kind.
        """
        max_epochs = whole_number("max_epochs", max_epochs)
        gradient_clip_val = real_number(
            "gradient_clip_val", gradient_clip_val, hint="It is a norm; 0 does not clip."
        )
        if steps_per_execution is not None:
            steps_per_execution = whole_number("steps_per_execution", steps_per_execution)
        if run_eagerly and jit_compile:
            raise ValueError("run_eagerly=True and jit_compile=True exclude each other; drop one.")
        self.save_hyperparameters(ignore=["strategy"])
        self.placement = choose_placement(num_gpus, strategy, jit_compile)
        self.callbacks = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        check_callbacks(self.callbacks)
        self._progress: list[Callback] = []
        self._begin()

    def fit(self, model: Module, data: Any, checkpoint: Path | str | None = None) -> History:
        """Train `model` on `data` for `max_epochs` epochs, or until `should_stop` is set.

        Args:
            model: the model to train.
            data: has `train_dataloader()` and `val_dataloader()`, which return a `tf.data.Dataset`,
                a `keras.utils.PyDataset` or another iterable of tuples; the latter may return None.
            checkpoint: resume from this file, to the end that the fit would have had without a
                break.

        Returns:
            The history: a list for each column, as `pandas.DataFrame` takes it.

        Raises:
            TypeError: `model` is not a d2l.Module, `data` is not a data module, a callback is not
                a d2l.Callback, or a method returns another kind of object than it should.
            ValueError: the data is empty or endless.
            LoaderError: a batch can't be read.
            CheckpointError: the checkpoint can't be read, or belongs to another model.
            DivergedError: a loss or a weight became infinite or NaN.
            DisagreementError: of several processes, one has another program, model or data.
            WorkerError: of several processes, another one is lost or has ended by an error.
        """
        check_methods("model", model, "training_step", "configure_optimizers")
        check_methods("data", data, "train_dataloader", "val_dataloader")
        check_callbacks(self.callbacks)
        with (
            tf.device(self.device),
            progress_shown(self.enable_progress_bar and self.is_chief) as self._progress,
        ):
            self._begin()
            self.prepare_data(data)
            self.prepare_model(model)
            example = example_of(self.train_dataloader)
            file = None if checkpoint is None else Path(checkpoint)
            with self._placed(example, file):
                self._prepare_steps(data, file, example)
                self._check_weights(now=True)
                self._call("on_fit_begin")
                planned = self.max_epochs
                while self.epochs_left and not self.should_stop:
                    self._run_epoch(self.state.epoch)
                finalize(self.optim)
                self._check_weights(now=True)
                if 0 < self.state.epoch != planned:
                    model.board.xlim = [0, self.state.epoch]
                    model.board.flush()
                self._call("on_fit_end")
                # A user's own fit_epoch may leave it on.
                model.training = False
        return self.state.history

    def prepare_data(self, data: Any) -> None:
        """Take the loaders of the data module."""
        self.train_dataloader = loader_of(data, train=True)
        self.val_dataloader = loader_of(data, train=False)
        if self.num_train_batches == 0:
            raise ValueError(NO_BATCHES)

    def prepare_model(self, model: Module) -> None:
        """Make model and trainer known to each other, and clear the model's board."""
        model.trainer = self
        model.board.clear()
        model.board.xlabel = "epoch"
        model.board.xlim = [0, self.max_epochs]
        self.model = model

    @do_not_convert
    def prepare_batch(self, batch: Batch) -> Batch:
        """The batch that the model's steps get; a subclass may change it here."""
        return batch

    def fit_epoch(self) -> None:
        """Make one pass over the training data, then one over the validation data."""
        count = self.num_train_batches
        training = self._train_loader.passes(self._train_step, self.max_epochs, count)
        for results in training.run(self.epoch, self.steps_of_epoch, self.steps_per_execution):
            self._recorder.take(results, train=True)
            self._check_weights(now=bool(self.run_eagerly))
            self._call("on_train_batches_end", results)
            if self.should_stop:
                break
        self._check_weights(now=self.epoch == 0)
        try:
            self._run_validation(self.epoch)
        except DivergedError:
            # The reason, if weights are not finite either.
            self._check_weights(now=True)
            raise

    def clip_gradients(self, grad_clip_val: float, grads: Sequence[Any]) -> list[Any]:
        """The gradients scaled to a joint l2 norm of at most `grad_clip_val`."""
        return clip_by_global_norm(grads, grad_clip_val)

    @do_not_convert
    def record(self, label: str, value: Any, train: bool) -> None:
        """Record a value that a step plots; `Module.plot` calls this."""
        self._recorder.record(label, value, train)

    @property
    def num_traces(self) -> int:
        """The number of times that the steps were traced in this fit."""
        return self._train_step.num_traces + self._val_step.num_traces

    def _prepare_steps(self, data: Any, checkpoint: Path | None, example: Batch | None) -> None:
        """Make optimizer, variables and steps, and read the checkpoint to resume from, if any."""
        self._val_loader.source, self._recorder.model = data, self.model
        self.state.counted = self.state.num_batches
        self.optim = with_loss_scale(optimizer_of(self.model), self.gradient_clip_val)
        self.placement.agree(lambda: optimizer_facts(self.optim))
        self.placement.hold(self.model, self.optim)
        self._build_variables(example)
        self._train_step = self._make_step("training_step", self._train)
        self._val_step = self._make_step("validation_step", self._validate)
        if checkpoint is not None:
            self._resume(checkpoint, example)

    def _run_epoch(self, epoch: int) -> None:
        self._recorder.begin_epoch(epoch)
        self._call("on_epoch_begin")
        if self.should_stop:
            return
        if self.steps_of_epoch == 0:
            self.model.reset_metrics()
        self._build_optimizer()  # a callback may have unfrozen a layer
        self.fit_epoch()
        row = self._recorder.end_epoch()
        # A user's own fit_epoch may not have done it.
        self._check_weights(now=epoch == 0)
        self._call("on_epoch_end", row)

    def _call(self, hook: str, *values: Any) -> None:
        """Call a hook of all callbacks."""
        for callback in in_order([*self.callbacks, *self._progress]):
            getattr(callback, hook)(self, *values)

    def _train(self, batch: Batch) -> Named:
        """One training step: the loss first, then what the model plotted while it was traced."""
        self._recorder.begin_step(batch)
        model = self.model
        with tf.GradientTape() as tape:
            with model.layer_losses() as owned:
                given = model.in_phase(True, lambda: model.training_step(self.prepare_batch(batch)))
            loss = loss_of(given, type(model).__name__)
            if not owned.complete:
                self._train_step.trace_again()
            loss = owned.added_to(loss)
            # Layers may have made their variables just now, or may be trained from now on.
            variables = self._weights.variables = model.trainable_variables
            build_for(self.optim, variables)
            scaled = scaled_loss(self.optim, self.placement.share(loss))
        gradients = tape.gradient(scaled, variables)
        check_gradients(gradients, type(model).__name__)
        gradients = self.placement.total(gradients)
        if self.gradient_clip_val > 0:
            gradients = self.clip_gradients(self.gradient_clip_val, gradients)
        apply_gradients(self.optim, gradients, variables)
        return [("train_loss", loss), *self._recorder.named]

    def _validate(self, batch: Batch) -> Named:
        """One validation step: what the model plotted while it was traced."""
        self._recorder.begin_step(batch)
        model = self.model
        model.in_phase(False, lambda: model.validation_step(self.prepare_batch(batch)))
        return list(self._recorder.named)

    def _make_step(self, name: str, function: Callable[[Batch], Named]) -> Step:
        """A step that runs as the trainer's settings say; it is traced when it first runs."""
        return Step(
            name,
            self.placement.step(function, self.model),
            eager=bool(self.run_eagerly),
            jit_compile=False if self.placement.replicated else self.jit_compile,
            must_compile=self.run_eagerly is False or bool(self.jit_compile),
            state=PythonState(self),
            variables=lambda: saved_variables(self.model, self.optim),
            eager_where_not_finite=name == "validation_step",
            choose=self.placement.choose,
            agreed=self.placement.agreed if self.placement.several_processes else None,
        )

    def _build_variables(self, example: Batch | None) -> None:
        """Make the variables of layers that wait for a first input."""
        model = self.model
        if example is not None and not (model.built and model.variables):
            # The call is only for the variables. A model whose steps don't call it on the batch's
            # inputs may fail here; it makes its variables when its step is traced.
            with contextlib.suppress(Exception):
                model(*self.prepare_batch(example)[:-1], training=False)
        check_placement(map(tf_variable, model.variables), self.device)
