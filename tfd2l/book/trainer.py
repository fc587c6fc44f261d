"""The trainer: runs a model's own steps over the data, compiled unless told otherwise."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import real_number, whole_number
from tfd2l.book.devices import check_placement, choose_device
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.book.module import Module
from tfd2l.book.nn_module import tf_variable
from tfd2l.engine.callback import Callback
from tfd2l.engine.checkpoint import kept_variables
from tfd2l.engine.history import EpochSoFar, History, append_row
from tfd2l.engine.loaders import Batch, batch_size_of, count_batches, example_of, renewed
from tfd2l.engine.optimizer import clip_by_global_norm, scaled_loss, with_loss_scale
from tfd2l.engine.passes import IndexedPass, StreamedPass, pass_over
from tfd2l.engine.python_state import Counter, PythonState
from tfd2l.engine.recorder import Recorder
from tfd2l.engine.state import restore, state_of
from tfd2l.engine.step import Named, Step, check_gradients, check_has, check_loss


class Trainer(HyperParameters):
    """Fits a model to data: epochs of training steps, each followed by a full validation.

    The model's own `training_step`, `validation_step`, `loss`, `forward` and optimizer run
    inside a compiled graph, `self.plot(...)` in them included. They are traced at the start of
    every fit, so methods patched into the class take effect at the next one.

    Attributes:
        epoch: epochs completed, while the epoch after them runs.
        train_batch_idx: training steps taken since the start of the fit.
        val_batch_idx: validation steps taken since the start of the fit.
        num_train_batches: steps in a training pass; None while that is not known.
        num_val_batches: steps in a validation pass, 0 without validation data; None while that
            is not known.
        history: a list for each column: 'epoch', 'train_loss', 'val_loss', ..., 'seconds'.

    Source: D2L 3.2.4 and 3.4.4.
    """

    # For PythonState: what of a trainer runs in a step, and what a step can't have read, for it is
    # the trainer's own and changes all the time. Counters are refused when they are read.
    TRACED_METHODS = ("prepare_batch", "clip_gradients")
    LIBRARY_ATTRIBUTES = frozenset({
        "callbacks", "counters", "device", "history", "hparams", "num_train_batches",
        "num_val_batches", "train_dataloader", "val_dataloader", "_completed", "_counted",
        "_named", "_passes", "_recorder", "_started_s", "_train_step", "_val_step",
    })  # fmt: skip
    epoch = Counter("epoch")
    train_batch_idx = Counter("train_batch_idx")
    val_batch_idx = Counter("val_batch_idx")
    max_epochs: int
    gradient_clip_val: float
    run_eagerly: bool | None
    jit_compile: bool | None
    steps_per_call: int | None

    def __init__(
        self,
        max_epochs: int,
        num_gpus: int | None = None,
        gradient_clip_val: float = 0,
        *,
        run_eagerly: bool | None = None,
        jit_compile: bool | None = None,
        steps_per_call: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Set up.

        Args:
            max_epochs: passes over the training data, at least 1.
            num_gpus: 0 trains on the CPU, 1 on the first GPU; None takes a GPU if there is one.
            gradient_clip_val: the largest joint l2 norm of the gradients; 0 doesn't clip.
            run_eagerly: True runs the steps as plain Python, to debug them; False insists on
                compiling them; None compiles, and falls back to eager with a warning.
            jit_compile: True compiles with XLA, False as a plain TensorFlow graph; None begins as
                a graph and goes on with XLA where that gives the same and pays.
            steps_per_call: call the callbacks after each multiple of so many steps; None calls
                them a few times a second.
            callbacks: called in their order.

        Raises:
            ValueError: a number out of range, or both `run_eagerly` and `jit_compile`.
            DeviceError: a GPU is asked for, and TensorFlow sees none.
        """
        max_epochs = whole_number("max_epochs", max_epochs)
        gradient_clip_val = real_number(
            "gradient_clip_val", gradient_clip_val, hint="It is a norm; 0 does not clip."
        )
        if steps_per_call is not None:
            steps_per_call = whole_number("steps_per_call", steps_per_call)
        if run_eagerly and jit_compile:
            raise ValueError("run_eagerly=True and jit_compile=True exclude each other; drop one.")
        self.save_hyperparameters()
        self.device = choose_device(num_gpus)
        self.callbacks = list(callbacks)
        self.counters: dict[str, int] = {}
        self._passes: dict[str, tuple[Any, IndexedPass | StreamedPass]] = {}
        self.history = History()
        self._named: Named = []
        self._recorder, self._completed = Recorder(self), 0

    def fit(self, model: Module, data: Any, checkpoint: Path | str | None = None) -> History:
        """Train `model` on `data` for `max_epochs` epochs.

        Args:
            model: what to train.
            data: has `train_dataloader()` and `val_dataloader()`, which give a `tf.data.Dataset`
                or another iterable of tuples; the latter may give None.
            checkpoint: go on from there, to the very end that the interrupted fit would have had.

        Returns:
            The history: a list for each column, as `pandas.DataFrame` takes it.

        Raises:
            TypeError: `model` is no model of this library's kind, or `data` no data module.
            ValueError: the data is empty or endless.
            CheckpointError: the checkpoint can't be read, or is of another model.
            DivergedError: the loss became infinite or NaN.
        """
        check_has("model", model, "training_step", "configure_optimizers")
        check_has("data", data, "train_dataloader", "val_dataloader")
        with tf.device(self.device):
            self.prepare_data(data)
            self.prepare_model(model)
            self.optim = with_loss_scale(model.configure_optimizers(), self.gradient_clip_val)
            self.epoch = self.train_batch_idx = self.val_batch_idx = 0
            self.history = History()
            self._recorder, self._completed = Recorder(self), 0
            self._prepare_variables()
            self._prepare_steps()
            if checkpoint is not None:
                restore(self, Path(checkpoint))
            for epoch in range(self._completed, self.max_epochs):
                self.epoch = epoch
                self._run_epoch()
            # A reader's own fit_epoch may leave it on.
            model.training = False
        return self.history

    def prepare_data(self, data: Any) -> None:
        """Ask the data module for its loaders, and count their batches."""
        self.train_dataloader = renewed(data.train_dataloader(), data.train_dataloader)
        self.val_dataloader = renewed(data.val_dataloader(), data.val_dataloader)
        self.num_train_batches = count_batches(self.train_dataloader)
        self.num_val_batches = (
            0 if self.val_dataloader is None else count_batches(self.val_dataloader)
        )
        self._counted = [self.num_train_batches, self.num_val_batches]
        if self.num_train_batches == 0:
            raise ValueError("the training data has no batches; give it at least one example.")

    def prepare_model(self, model: Module) -> None:
        """Make model and trainer known to each other, and give the fit an empty board."""
        model.trainer = self
        model.board.clear()
        model.board.xlabel = "epoch"
        model.board.xlim = [0, self.max_epochs]
        self.model = model

    @do_not_convert
    def prepare_batch(self, batch: Batch) -> Batch:
        """What the model's steps get in place of `batch`; here, the batch itself."""
        return batch

    def fit_epoch(self) -> None:
        """One pass over the training data, then one over the validation data."""
        train_pass = self._pass_over("train_dataloader", self._train_step)
        for call in train_pass.run(self.epoch, self.steps_of_epoch, self.steps_per_call):
            for steps in call:
                self._recorder.take_in(steps, train=True)
            for callback in self.callbacks:
                callback.on_train_steps(self, call)
        if self.val_dataloader is not None:
            for call in self._pass_over("val_dataloader", self._val_step).run(self.epoch):
                for steps in call:
                    self._recorder.take_in(steps, train=False)

    def clip_gradients(self, grad_clip_val: float, grads: Sequence[Any]) -> list[Any]:
        """The gradients scaled to a joint l2 norm of at most `grad_clip_val`."""
        return clip_by_global_norm(grads, grad_clip_val)

    @do_not_convert
    def record(self, label: str, value: Any, train: bool) -> None:
        """Take a value that a step plots: at once when eager, as an output of a traced step."""
        if tf.executing_eagerly():
            mean = float(tf.reduce_mean(tf.cast(value, tf.float32)))
            self._recorder.draw(label, mean, train)
        else:
            self._named.append((label, value))

    @property
    def steps_of_epoch(self) -> int:
        """Training steps made in the epoch that runs."""
        return self._recorder.so_far.steps

    @property
    def num_traces(self) -> int:
        """How often the training and the validation step were traced in this fit."""
        return self._train_step.num_traces + self._val_step.num_traces

    def _run_epoch(self) -> None:
        self._started_s = time.perf_counter()
        self._recorder.size = 1
        for callback in self.callbacks:
            callback.on_epoch_begin(self)
        before = self.train_batch_idx - self.steps_of_epoch, self.val_batch_idx
        self.fit_epoch()
        self._count_steps(*before)
        self._recorder.draw_postponed()
        self.model.board.flush()
        row = self._recorder.so_far.row(self.epoch + 1)
        row["seconds"] = self._seconds()
        append_row(self.history, row)
        self._recorder.so_far, self._completed = EpochSoFar(), self.epoch + 1
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def state(self) -> dict[str, Any]:
        """Where the fit is, as JSON values: what `save_checkpoint` keeps beside the variables."""
        return state_of(self)

    def _seconds(self) -> float:
        """Spent on the epoch, also before an interruption."""
        return self._recorder.so_far.seconds + time.perf_counter() - self._started_s

    def _count_steps(self, train_before: int, val_before: int) -> None:
        """Once the passes are over their lengths are known, if they weren't before."""
        if self.num_train_batches is None:
            self.num_train_batches = self.train_batch_idx - train_before
            if self.num_train_batches == 0:
                raise ValueError("the training data has no batches; give it at least one example.")
        if self.num_val_batches is None:
            self.num_val_batches = self.val_batch_idx - val_before

    def _prepare_variables(self, example: Batch | None = None) -> None:
        """Make the variables of layers that wait for a first input, and the optimizer's own."""
        model = self.model
        example = example_of(self.train_dataloader) if example is None else example
        if example is not None and not (model.built and model.variables):
            # Nothing but variables comes of this call. A model whose steps don't call it on the
            # batch's inputs makes its variables when its step is traced.
            with contextlib.suppress(Exception):
                model(*self.prepare_batch(example)[:-1], training=False)
        check_placement(map(tf_variable, model.variables), self.device)
        if model.built and isinstance(self.optim, keras.optimizers.Optimizer):
            self.optim.build(model.trainable_variables)

    def _prepare_steps(self) -> None:
        """Make the steps; they are traced when first run."""
        self._train_step = self._make_step("training_step", self._train)
        self._val_step = self._make_step("validation_step", self._validate)
        self._passes = {}

    def _pass_over(self, name: str, step: Step) -> IndexedPass | StreamedPass:
        """How `step` runs over the loader of that name, which a `fit_epoch` may have replaced."""
        loader = getattr(self, name)
        if name not in self._passes or self._passes[name][0] is not loader:
            if name in self._passes:
                count = "num_train_batches" if name == "train_dataloader" else "num_val_batches"
                setattr(self, count, count_batches(loader))
            self._passes[name] = (loader, pass_over(step, loader, self.max_epochs))
        return self._passes[name][1]

    def _make_step(self, name: str, function: Callable[[Batch], Named]) -> Step:
        """A step to be run as the trainer was told."""
        return Step(
            name,
            function,
            eager=bool(self.run_eagerly),
            jit_compile=self.jit_compile,
            must_compile=self.run_eagerly is False or bool(self.jit_compile),
            state=PythonState(self),
            variables=lambda: kept_variables(self.model, self.optim),
        )

    def _train(self, batch: Batch) -> Named:
        """One training step: the loss first, then what the model plotted when traced."""
        self._named, self._recorder.size = [], batch_size_of(batch)
        model = self.model
        with tf.GradientTape() as tape:
            loss = model.in_phase(True, lambda: model.training_step(self.prepare_batch(batch)))
            check_loss(loss, type(model).__name__)
            scaled = scaled_loss(self.optim, loss)
        variables = model.trainable_variables
        gradients = tape.gradient(scaled, variables)
        check_gradients(gradients, type(model).__name__)
        if self.gradient_clip_val > 0:
            gradients = self.clip_gradients(self.gradient_clip_val, gradients)
        self.optim.apply_gradients(zip(gradients, variables, strict=True))
        return [("train_loss", loss), *self._named]

    def _validate(self, batch: Batch) -> Named:
        """One validation step: what the model plotted when traced."""
        self._named, self._recorder.size = [], batch_size_of(batch)
        model = self.model
        model.in_phase(False, lambda: model.validation_step(self.prepare_batch(batch)))
        return list(self._named)
