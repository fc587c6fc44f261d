"""Passes over data in memory: compiled loops of many steps that gather their own batches.

Python gets control back a few times a second instead of once a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.batching import IndexedBatches
from tfd2l.engine.callback import StepResults
from tfd2l.engine.finite import steps_not_finite
from tfd2l.engine.passes.calls import CallSizer
from tfd2l.engine.tracing.graphs import WORTHWHILE_STEPS, suits_xla
from tfd2l.engine.tracing.step import Step, TracedStep, explained, spec_of

__all__ = ["IndexedPass"]


class IndexedPass:
    """Passes over data in memory, in compiled loops that gather their own batches.

    By default XLA takes over after the first pass, where its results are the same and it pays. The
    first pass always runs on TensorFlow's own kernels, which refuse a class id that is out of
    range, while XLA's kernels read another element.
    """

    def __init__(self, step: Step, data: IndexedBatches, num_passes: int) -> None:
        """Prepare `num_passes` passes of `step` over `data`, on the device that is current."""
        self._data = data.on_current_device()
        self._step = step
        # One call instead of several eager operations, whose time counts for small data.
        self._shuffled = tf.function(self._data.order, autograph=False).get_concrete_function(
            tf.TensorSpec((), tf.int64)
        )
        self._in_order = None if self._data.shuffle else self._data.order(0)
        self._traced: dict[int, TracedStep | None] = {}
        self._loops: dict[bool, Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]] = {}
        self._sizers = {False: CallSizer(), True: CallSizer()}
        self._specs: dict[int, Any] = {}
        self._num_batches = data.num_batches
        self._later_steps = data.num_full * (num_passes - 1)
        self._suspect = steps_not_finite(data) if step.eager_where_not_finite else frozenset()
        # Whether XLA runs the passes; None until the second pass decides.
        self._xla = step.jit_compile

    def run(
        self, epoch: int, start: int = 0, per_call: int | None = None
    ) -> Iterator[list[StepResults]]:
        """Run the steps of a pass in order, as many in a call as `CALL_S` allows.

        Yields the results of each call, after which the model is as its last step left it.

        Args:
            epoch: number of the pass, from 0.
            start: steps of the pass that were made before.
            per_call: end a call at each multiple of so many steps, if not sooner.
        """
        order, done = self._order(epoch), start
        while done < self._num_batches:
            suspect = sorted(s for s in self._suspect if s >= done) if epoch == 0 else []
            limit = suspect[0] if suspect else self._num_batches
            if done < limit and self._is_compiled(epoch):
                made = self._call(order, epoch, done, limit, per_call)
            else:
                made = [self._eager_step(order, epoch, done)]
            done += sum(len(steps.values) for steps in made)
            yield made

    @property
    def used_xla(self) -> bool:
        """True if XLA has compiled steps of a pass."""
        return True in self._loops

    def _is_compiled(self, epoch: int) -> bool:
        """Return True if the step has graphs; outdated ones are traced again."""
        if self._step.forget_outdated_graphs():
            self._traced.clear()
            self._loops.clear()
            self._xla = self._step.jit_compile
        sizes = (self._data.batch_size, self._data.tail_size)
        if any(self._trace(size) is None for size in sizes if size):
            return False
        if self._xla is None and epoch > 0:
            self._xla = self._later_steps >= WORTHWHILE_STEPS and self._suits_xla()
        return True

    def _eager_step(self, order: tf.Tensor, epoch: int, done: int) -> StepResults:
        """Run the step after `done` steps of the pass, without a graph."""
        first = done * self._data.batch_size
        batch = self._data.fetch(order[first : first + self._data.batch_size])
        with explained(self._step.name, f"step {done + 1} of epoch {epoch + 1}", batch):
            return self._step.run(batch, first_pass=epoch == 0)

    def _call(
        self, order: tf.Tensor, epoch: int, done: int, limit: int, per_call: int | None
    ) -> list[StepResults]:
        """Run the steps of one call, after `done` steps of the pass and none beyond `limit`."""
        data, xla = self._data, bool(self._xla)
        count = self._sizers[xla].steps_in_a_call()
        if self._step.agreed is not None:
            count = self._step.agreed(count)
        if per_call is not None:
            count = min(count, per_call - done % per_call)
        stop = min(done + count, limit, data.num_full)
        # The smaller last batch joins the call, unless `per_call` ends it before.
        pause = per_call is not None and data.tail_size and done < stop and stop % per_call == 0
        finished = stop == data.num_full and limit == self._num_batches and not pause
        started_s = time.monotonic()
        bounds = (tf.constant(done), tf.constant(stop), tf.constant(finished))
        last = stop + 1 if finished and data.tail_size else stop
        where = f"step {done + 1}"
        if last > done + 1:
            where = f"one of the steps {done + 1} to {last} (run_eagerly=True tells which)"
        spec = self._specs[data.batch_size if done < data.num_full else data.tail_size]
        with explained(self._step.name, f"{where} of epoch {epoch + 1}", spec):
            looped, tail = self._loop(xla)(order, *bounds)
            if finished and self._tail_apart(xla):
                end = tf.constant(data.num_full)
                _, tail = self._loop(False)(order, end, end, tf.constant(True))
            values = looped.numpy()[done:stop]
        self._sizers[xla].note(stop - done, time.monotonic() - started_s)
        return self._results(values, tail if finished else None)

    def _order(self, epoch: int) -> tf.Tensor:
        """The indices of the examples in the order of pass `epoch`."""
        if self._in_order is not None:
            return self._in_order
        return self._shuffled(tf.constant(epoch, tf.int64))

    def _tail_apart(self, xla: bool) -> bool:
        """Return True if the step on the smaller last batch runs as a graph beside XLA's loop.

        By default it does: XLA would compile the step once more, for one step of each pass.
        """
        return xla and not self._step.jit_compile and self._data.tail_size > 0

    def _suits_xla(self) -> bool:
        """Return True if XLA computes the same: known operations, on the CPU."""
        graphs = [traced.function.graph for traced in self._traced.values() if traced is not None]
        return not tf.config.list_logical_devices("GPU") and all(map(suits_xla, graphs))

    def _results(
        self, looped: npt.NDArray[np.float32], tail: list[tf.Tensor] | None
    ) -> list[StepResults]:
        full, rest = (self._traced.get(s) for s in (self._data.batch_size, self._data.tail_size))
        steps = []
        if len(looped) and full is not None:
            steps.append(StepResults(full.labels, looped, self._data.batch_size))
        if tail is not None and rest is not None:
            steps.append(
                StepResults(rest.labels, np.array([tail], np.float32), self._data.tail_size)
            )
        return steps

    def _trace(self, size: int) -> TracedStep | None:
        """The step's graph for batches of `size` examples."""
        if size not in self._traced:
            indices = tf.TensorSpec((size,), tf.int32)
            fetch = tf.function(self._data.fetch, autograph=False).get_concrete_function(indices)
            self._specs[size] = spec_of(fetch.structured_outputs)
            self._traced[size] = self._step.trace(self._specs[size])
        return self._traced[size]

    def _loop(self, xla: bool) -> Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]:
        """The function that makes steps [start, stop) on full batches and, if asked, the last one.

        A fit has one such function: random operations count their draws in each function apart,
        and the division of steps into calls depends on the machine's speed.
        """
        if xla in self._loops:
            return self._loops[xla]
        data, size = self._data, self._data.batch_size
        full = self._traced.get(size)
        rest = None if self._tail_apart(xla) else self._traced.get(data.tail_size)

        def loop(
            order: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, with_tail: tf.Tensor
        ) -> tuple[tf.Tensor, list[tf.Tensor]]:
            def body(i: tf.Tensor, stacks: list[Any]) -> tuple[tf.Tensor, list[Any]]:
                batch = data.fetch(tf.slice(order, [i * size], [size]))
                values = full.function(batch)  # type: ignore[union-attr]  # traced in run()
                return i + 1, [s.write(i, value) for s, value in zip(stacks, values, strict=True)]

            stacks = [
                tf.TensorArray(tf.float32, size=data.num_full, element_shape=())
                for _ in (full.labels if full is not None else ())
            ]
            if data.num_full:
                # One step after the other: each starts from the variables of the one before.
                _, stacks = tf.while_loop(
                    lambda i, _: i < stop, body, (start, stacks), parallel_iterations=1
                )
            looped = tf.zeros((data.num_full, 0))  # a step without values
            if stacks:
                looped = tf.stack([stack.stack() for stack in stacks], axis=1)
            if rest is None:
                return looped, []
            return looped, self._step.choose(
                with_tail,
                lambda: list(rest.function(data.fetch(order[data.num_full * size :]))),
                lambda: [tf.zeros(()) for _ in rest.labels],
            )

        # The graphs of the steps are ready; AutoGraph has nothing to convert here.
        function = tf.function(loop, autograph=False, jit_compile=xla or None)
        index = tf.TensorSpec((), tf.int32)
        order = tf.TensorSpec((data.num_examples,), tf.int32)
        flag = tf.TensorSpec((), tf.bool)
        self._loops[xla] = function.get_concrete_function(order, index, index, flag)
        return self._loops[xla]
