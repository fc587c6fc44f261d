"""Runs the steps of a fit on one device, or in replicas on several."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfd2l.engine.distribution.coordination import coordination_of
from tfd2l.engine.distribution.keras_parts import (
    check_losses,
    losses_unscaled,
    update_alone,
    update_as_before,
)
from tfd2l.engine.distribution.mirrored import Mirrors
from tfd2l.engine.distribution.slices import slice_of
from tfd2l.engine.distribution.step_state import StepState
from tfd2l.engine.errors import MirrorError
from tfd2l.engine.loaders import Batch
from tfd2l.engine.tracing.step import Named, mean_of
from tfd2l.engine.variables import layers_in

__all__ = ["OneDevice", "Replicas"]


Function = Callable[[], Any]
# TensorFlow's words when a variable's copy is asked for outside of a replica.
_NO_HANDLE = "DistributedVariable.handle is not available outside the replica context"


class OneDevice:
    """Steps on one device: every method leaves its argument as it is.

    Attributes:
        device: TensorFlow's name of the device.
        strategy: TensorFlow's own, by default the one without replicas.
        replicated: True if steps run in replicas, be it one.
        several_processes: True if processes on one or more machines make each step together.
        is_chief: True in the only process, or in the first.
    """

    replicated = False
    several_processes = False
    is_chief = True

    def __init__(self, device: str) -> None:
        """Run on a device such as '/CPU:0'."""
        self.device = device
        self.strategy: tf.distribute.Strategy = tf.distribute.get_strategy()

    def scope(self) -> contextlib.AbstractContextManager[None]:
        """The block in which steps run."""
        return contextlib.nullcontext()

    def hold(self, model: Any, optimizer: Any) -> None:
        """Prepare the variables that model and optimizer have by now."""

    def step(self, function: Callable[[Batch], Named], model: Any) -> Callable[[Batch], Named]:
        """The step over a whole batch, from the trainer's step."""
        return function

    def share(self, loss: tf.Tensor) -> tf.Tensor:
        """The part of the whole batch's loss that a step has computed."""
        return loss

    def total(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """The gradients of the whole batch's loss, from those of the part."""
        return gradients

    def choose(self, pred: tf.Tensor, true_fn: Function, false_fn: Function) -> Any:
        """As `tf.cond`, for functions that make a step."""
        return tf.cond(pred, true_fn, false_fn)

    def agree(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Check that all processes have the same facts, before they make steps together."""

    def gathered(self, number: int) -> list[int]:
        """The number that each process has, in their order; all call this at the same time."""
        return [number]

    def agreed(self, number: int) -> int:
        """A number that each process chooses by its own speed; the first one decides for all."""
        return self.gathered(number)[0]


class Replicas(OneDevice):
    """Steps in replicas: each device has a copy of the variables and a slice of every batch.

    The loss of a slice counts by its share of the batch's examples, and the gradients are summed
    before they are clipped and applied. So are the values that a step returns and plots. Every
    replica then makes the same update to its own copy.
    """

    replicated = True

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Run in the replicas of a `tf.distribute` strategy."""
        devices = strategy.extended.worker_devices
        super().__init__(f"/{tf.DeviceSpec.from_string(devices[0]).device_type}:0")
        self.strategy, self.count = strategy, strategy.num_replicas_in_sync
        self._mirrors = Mirrors(strategy)
        self.several_processes = strategy.num_replicas_in_sync > len(devices)
        self._coordination = coordination_of(strategy) if self.several_processes else None
        if self._coordination is not None:
            self.is_chief = self._coordination.index == 0
        self._gathering: Any = None
        # Each replica is traced in a thread of its own.
        self._replica = threading.local()

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """The strategy's scope; at its end the variables are as they were made, with new values.

        Raises:
            WorkerError: another process is lost, or has ended by an error.
        """
        with contextlib.ExitStack() as stack:
            if self._coordination is not None:
                stack.enter_context(self._coordination.together())
            stack.enter_context(self._scope())
            yield

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        before, self._optimizer = self._mirrors.moment, None
        try:
            # Batches are made in the host's memory; TensorFlow sends each replica its slice.
            with self.strategy.scope(), tf.device("/CPU:0"):
                try:
                    yield
                finally:
                    self._mirrors.release(before)
        except ValueError as error:
            if _NO_HANDLE not in str(error):
                raise
            raise MirrorError(
                "code outside of the steps, e.g. a fit_epoch of your own, takes the gradients of "
                "variables that every replica has; do it in training_step, or train on one device."
            ) from error
        finally:
            update_as_before(self._optimizer)

    def hold(self, model: Any, optimizer: Any) -> None:
        """Mirror the variables that model and optimizer have by now.

        Raises:
            MirrorError: an object that can't be changed holds a variable.
        """
        self._mirrors.hold(model, model.variables)
        self._mirrors.hold(optimizer, getattr(optimizer, "variables", ()))
        update_alone(optimizer)
        self._optimizer = optimizer

    def step(self, function: Callable[[Batch], Named], model: Any) -> Callable[[Batch], Named]:
        """The step over a whole batch: the trainer's step in each replica, on its slice."""
        labels: list[str] = []

        def in_replica(batch: Batch, number: int) -> list[tf.Tensor]:
            with tf.device("/CPU:0"):  # so that a device gets no more than its slice
                part, share = slice_of(batch, number, self.count)
            self._replica.share = share
            state = StepState(model, number)
            named = function(part)
            labels[:] = [label for label, _ in named]
            values = [share * mean_of(value) for _, value in named]
            sums = self._sum([*values, *state.changes(share)])
            state.apply(sums[len(values) :])
            return sums[: len(values)]

        def step(batch: Batch) -> Named:
            number = self.strategy.experimental_distribute_values_from_function(
                lambda context: context.replica_id_in_sync_group
            )
            with losses_unscaled():
                values = self.strategy.run(in_replica, args=(batch, number))
            if len(self.strategy.extended.worker_devices) > 1:
                check_losses(layers_in(vars(model), seen=set()))
            results = [self.strategy.experimental_local_results(value)[0] for value in values]
            return list(zip(labels, results, strict=True))

        return step

    def share(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss of this replica's slice by its share of the batch's examples.

        The loss counts so from before its gradient: a synchronized BatchNormalization hands parts
        of the gradient to other replicas.
        """
        return loss * self._replica.share

    def total(self, gradients: Sequence[Any]) -> Sequence[Any]:
        """The sums of the replicas' gradients; None for None."""
        sums = iter(self._sum([gradient for gradient in gradients if gradient is not None]))
        return [None if gradient is None else next(sums) for gradient in gradients]

    def choose(self, pred: tf.Tensor, true_fn: Function, false_fn: Function) -> Any:
        """As `tf.cond`, in which TensorFlow's collective operations fail: a loop of one turn."""
        results = tf.while_loop(
            lambda left, _: left,
            lambda _, __: (False, true_fn()),
            (pred, false_fn()),
            parallel_iterations=1,
        )
        return results[1]

    def agree(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Check that all processes have the same facts, before they make steps together.

        Args:
            facts: returns JSON values by the names that an error gives.

        Raises:
            DisagreementError: a process has other facts than the first; all raise the same error.
            WorkerError: another process is lost, or has ended by an error.
        """
        if self._coordination is not None:
            with self._coordination.together():
                self._coordination.agree(facts())

    def gathered(self, number: int) -> list[int]:
        """The number that each process has, in their order; all call this at the same time.

        They do so before each call: the collective operations of a loop find each other by the
        loop's turn, so all have to make the same steps in one call.
        """
        if self._coordination is None:
            return [number]
        if self._gathering is None:
            with tf.init_scope():
                self._gathering = tf.function(self._gather, autograph=False)
        here = len(self.strategy.extended.worker_devices)
        return [int(one) for one in self._gathering(tf.constant(number)).numpy()[::here]]

    def _gather(self, number: tf.Tensor) -> tf.Tensor:
        def in_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            place = tf.one_hot(context.replica_id_in_sync_group, self.count, dtype=number.dtype)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, number * place)

        return self.strategy.experimental_local_results(self.strategy.run(in_replica))[0]

    def _sum(self, values: list[Any]) -> list[Any]:
        """The sums over all replicas, in each replica."""
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, values)) if values else []
