"""The base of the trainer: its loaders, validation, and the saving and resuming of fits."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfd2l.engine.callback import Callback, restore_states, states_of
from tfd2l.engine.checkpoint import load_checkpoint
from tfd2l.engine.checks import check_methods
from tfd2l.engine.distribution.facts import facts_of
from tfd2l.engine.distribution.replicas import OneDevice
from tfd2l.engine.errors import CheckpointError, MirrorError
from tfd2l.engine.finite import WeightsCheck
from tfd2l.engine.loaders import (
    Batch,
    Reiterable,
    as_batch,
    count_batches,
    example_of,
    loader_of,
    skip_passes,
)
from tfd2l.engine.metrics import Recorder
from tfd2l.engine.optimizer import build_as, build_for, check_trained, trained_variables
from tfd2l.engine.passes.loader import Loader
from tfd2l.engine.state import FitState
from tfd2l.engine.tracing.step import Named, Step, spec_of

__all__ = ["BaseTrainer"]


class BaseTrainer:
    """The parts of a trainer beside its training loop, which a subclass adds."""

    state: FitState
    model: Any
    optim: Any
    callbacks: list[Callback]
    placement: OneDevice
    max_epochs: int
    num_train_batches: Any
    num_val_batches: Any
    should_stop: bool
    _train_step: Step
    _val_step: Step
    # Methods of the subclass.
    _validate: Callable[[Batch], Named]
    _make_step: Callable[[str, Callable[[Batch], Named]], Step]
    _build_variables: Callable[[Batch | None], None]
    prepare_batch: Callable[[Batch], Batch]

    def validate(self, model: Any, data: Any) -> dict[str, float]:
        """The metrics of a model on validation data, as in the row of an epoch, e.g. 'val_loss'.

        History, counters and the model's board stay as they are. After a fit of the same objects,
        the numbers are those of its last validation.

        Args:
            model: the model; a compiled `validation_step` as in a fit.
            data: has `val_dataloader()`.

        Raises:
            TypeError: `model` is not a d2l.Module, or `data` is not a data module.
            ValueError: there is no validation data.
            DivergedError: the loss is infinite or NaN.
        """
        check_methods("model", model, "validation_step")
        check_methods("data", data, "val_dataloader")
        fitted = model is getattr(self, "model", None) and data is self._val_loader.source
        # The kernels of that epoch of the fit, which may be XLA's from the second on.
        epoch, count = (self._recorder.epoch, self.num_val_batches) if fitted else (0, None)
        with tf.device(self.device), self._set_apart(model):
            self.val_dataloader = loader_of(data, train=False)
            self.num_val_batches = self.num_val_batches or count
            example = example_of(self.val_dataloader or ())
            self._build_variables(example)
            with self._placed(example):
                self._val_step = self._make_step("validation_step", self._validate)
                self._run_validation(epoch)
            if not self.state.val_batch_idx:
                raise ValueError("the data has no batches to validate on; give it some.")
            return {name: mean.value for name, mean in self.state.so_far.plotted.items()}

    @property
    def train_dataloader(self) -> Any:
        """The training batches; setting it counts them."""
        return self._train_loader.batches

    @train_dataloader.setter
    def train_dataloader(self, loader: Any) -> None:
        self._train_loader.batches = loader
        self.num_train_batches = count_batches(loader)

    @property
    def val_dataloader(self) -> Any:
        """The validation batches, None without any; setting it counts them."""
        return self._val_loader.batches

    @val_dataloader.setter
    def val_dataloader(self, loader: Any) -> None:
        self._val_loader.batches = loader
        self.num_val_batches = 0 if loader is None else count_batches(loader)

    @property
    def steps_of_epoch(self) -> int:
        """The number of training steps made in the running epoch."""
        return self.state.so_far.steps

    @property
    def device(self) -> str:
        """TensorFlow's name of the device of the steps; of several, that of the first."""
        return self.placement.device

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """The `tf.distribute` strategy of the steps; TensorFlow's default one for one device."""
        return self.placement.strategy

    @property
    def is_chief(self) -> bool:
        """True in the process that writes files; of several that train together, in the first."""
        return self.placement.is_chief

    @property
    def epochs_left(self) -> int:
        """The number of epochs until `max_epochs`."""
        return max(self.max_epochs - self.state.epoch, 0)

    @property
    def execution(self) -> dict[str, Any]:
        """The devices of the fit, and whether steps ran eagerly or compiled by XLA."""
        return {
            "device": self.device,
            "replicas": self.strategy.num_replicas_in_sync,
            "eager": self._train_step.eager,
            "xla": self._train_loader.used_xla,
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of the fit, which a checkpoint saves beside the variables.

        It is JSON values; the states of callbacks may also have NumPy arrays.
        """
        self.state.board = self.model.board.curves
        self.state.untracked = self._train_step.untracked
        self._build_optimizer()
        self.state.trained = trained_variables(self.model, self.optim)
        values = self.state.to_json()
        if self.steps_of_epoch:
            values["so_far"]["seconds"] = self._recorder.seconds()
        if callbacks := states_of(self.callbacks):
            values["callbacks"] = callbacks
        return values

    def _begin(self) -> None:
        """Start a fit from nothing."""
        self.state = FitState.new()
        self._recorder = Recorder(self.state)
        self._train_loader, self._val_loader = Loader(), Loader()
        self._weights = WeightsCheck()
        self.should_stop = False

    def _build_optimizer(self) -> None:
        """Give a Keras optimizer its state for the variables that are trained by now."""
        if self.model.built:
            build_for(self.optim, self.model.trainable_variables)
            self.placement.hold(self.model, self.optim)

    def _run_validation(self, epoch: int) -> None:
        """Make a pass over the validation data, with the kernels of that epoch."""
        if self.val_dataloader is None:
            return
        self.model.reset_metrics()
        count = self.num_val_batches
        validation = self._val_loader.passes(self._val_step, self.max_epochs, count)
        for results in validation.run(epoch):
            self._recorder.take(results, train=False)

    def _check_weights(self, *, now: bool) -> None:
        """Raise DivergedError if a weight is not finite; `now` or if it is time for a check."""
        self._weights.check(self.model, self.state.epoch, self.steps_of_epoch, now=now)

    @contextlib.contextmanager
    def _set_apart(self, model: Any) -> Iterator[None]:
        """Inside, trainer and board are as at the start of a fit; afterwards as before."""
        before = dict(vars(self)), getattr(model, "trainer", None), model.board
        self._begin()
        self.optim, self.model, self._recorder.model = None, model, model
        model.trainer, model.board = self, copy.copy(model.board)
        model.board.clear()
        model.board.display = False
        try:
            yield
        finally:
            vars(self).clear()
            own, model.trainer, model.board = before
            vars(self).update(own)

    @contextlib.contextmanager
    def _placed(self, example: Batch | None, checkpoint: Path | None = None) -> Iterator[None]:
        """Inside, the model is on the devices of the steps; its variables are made before."""
        if self.placement.replicated and not self._build_late_variables(example):
            raise MirrorError(
                f"{type(self.model).__name__} has layers without variables yet, which several "
                "devices can't share; call the model on a batch, model(X), before the fit."
            )
        self.placement.agree(lambda: facts_of(self, example, checkpoint))
        with self.placement.scope():
            self.placement.hold(self.model, None)
            yield

    def _resume(self, path: Path, example: Batch | None) -> None:
        """Bring the fit to the state of the one that wrote the checkpoint."""
        if not self._build_late_variables(example):
            raise CheckpointError(
                f"{type(self.model).__name__} has layers without variables yet, into which a "
                "checkpoint can't be read; call the model on a batch, model(X), before the fit."
            )
        state, callbacks = load_checkpoint(path, self.model, self.optim, self._parse_state)
        self.state.restore(state)
        self.model.board.curves = self.state.board
        skip_passes(self.train_dataloader, self.state.epoch)
        skip_passes(self.val_dataloader, self.state.epoch)
        if self.state.untracked:
            warnings.warn(
                "the resumed fit may end otherwise than one without a break: "
                f"{self.state.untracked}",
                stacklevel=4,
            )
        check_trained(state.trained, self.model)
        if missing := restore_states(self.callbacks, callbacks):
            warnings.warn(
                "the resumed fit may end otherwise than one without a break: the checkpoint has "
                f"the state of {missing[0]}, and the trainer has no such callback.",
                stacklevel=4,
            )

    def _parse_state(self, values: Any) -> tuple[FitState, dict[str, Any]]:
        """Read the state in a checkpoint; raises ValueError if it is not of the same data."""
        callbacks = values.pop("callbacks", {}) if isinstance(values, dict) else {}
        if not isinstance(callbacks, dict) or not all(
            isinstance(found, list) for found in callbacks.values()
        ):
            raise ValueError("callbacks: not lists of states by the names of classes")
        state, counted = FitState.from_json(values), self.state.counted
        if state.counted != counted:
            raise ValueError(
                f"counted: {list(state.counted)} batches to train and validate on; the data given "
                f"has {list(counted)}. Take the data and the batch size of that fit"
            )
        build_as(state.trained, self.model, self.optim)
        return state, callbacks

    def _build_late_variables(self, batch: Batch | None) -> bool:
        """Make variables of layers that only the step calls, before they are needed.

        Returns:
            Whether the model has all its variables by now.
        """
        model, loader = self.model, self.train_dataloader
        if model.built and model.variables:
            return True
        if batch is None and isinstance(loader, Reiterable):
            first = next(iter(loader.again()), None)
            batch = None if first is None else as_batch(first)
        if batch is not None:
            self._build_variables(batch)
            if not model.built and self.placement.replicated:
                self._trace_forward(batch)
            elif not model.built:
                self._train_step.trace(spec_of(batch))
        return bool(model.built and model.variables)

    def _trace_forward(self, batch: Batch) -> None:
        """Trace the model's training step outside of replicas, which can't make variables."""
        model = self.model

        def forward(batch: Batch) -> Any:
            return model.in_phase(True, lambda: model.training_step(self.prepare_batch(batch)))

        # What fails here fails again in the fit, where it is explained.
        with contextlib.suppress(Exception):
            tf.function(forward).get_concrete_function(spec_of(batch))
