"""Passes over any iterable of batches, several batches in a compiled call.

A stream's batches are stacked, as many as fit a call, and a compiled loop makes a step on each.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import tensorflow as tf

from tfd2l.engine.callback import StepResults
from tfd2l.engine.finite import all_finite
from tfd2l.engine.loaders import Batch, batch_size_of, batches_of
from tfd2l.engine.passes.calls import CallSizer
from tfd2l.engine.passes.groups import Group, Groups, Kind, one_ahead
from tfd2l.engine.tracing.graphs import WORTHWHILE_STEPS, looks_up, suits_xla
from tfd2l.engine.tracing.step import Step, TracedStep, explained, spec_of

__all__ = ["StreamedPass"]

# Bounds of the batches in a call: with so many, the call itself costs next to nothing.
MAX_BATCHES, MAX_BYTES = 64, 32 * 2**20


class StreamedPass:
    """Passes over any iterable of batches, several batches in a compiled call.

    By default XLA takes over after the first pass for the batches that are like the first two of
    the pass, where its results are the same and it pays. The choice depends on the data alone, so
    that a resumed fit makes the same one. A step that looks elements up by their index keeps
    TensorFlow's own kernels, which refuse a class id that is out of range: unlike data in memory, a
    stream may have one in any pass.

    Attributes:
        num_batches: batches in a pass; None while that is unknown.
    """

    num_batches: int | None = None

    def __init__(self, step: Step, batches: Iterable[Any], num_passes: int) -> None:
        """Prepare passes of `step` over the batches, which each pass iterates from the start."""
        self._step, self._batches, self._num_passes = step, batches, num_passes
        # By kind, and by the choice of XLA for it.
        self._loops: dict[tuple[Kind, bool], StackedLoop] = {}
        self._had_batches = False

    def run(
        self, epoch: int, start: int = 0, per_call: int | None = None
    ) -> Iterator[list[StepResults]]:
        """Run the steps of the next pass, except the first `start`; yields each call's results.

        Args:
            epoch: number of the pass, from 0.
            start: steps of the pass that were made before.
            per_call: end a call at each multiple of so many steps, if not sooner.

        Raises:
            ValueError: the loader was used up by the passes before.
            LoaderError, TypeError: as `batches_of`.
        """
        found = self._groups(epoch, start, per_call)
        # Processes that step together take the same batches in the same calls.
        ahead = self._is_dataset and self._step.agreed is None
        done = start
        for group in one_ahead(found) if ahead else iter(lambda: next(found), None):
            loop = None if group.singly else self._loop(group, per_call)
            yield self._steps(loop, group, epoch, done)
            done += len(group.batches)
        if done == 0 and self._had_batches:
            raise ValueError(
                f"the data of {self._step.name} has no batches in epoch {epoch + 1}, after the "
                "epochs before it had; give a loader that can be iterated more than once."
            )
        self._had_batches = done > 0

    @property
    def used_xla(self) -> bool:
        """True if XLA has compiled steps of a pass."""
        return any(loop.xla for loop in self._loops.values())

    @property
    def _is_dataset(self) -> bool:
        """True for a `tf.data.Dataset`; one with an `__iter__` of its own does more."""
        return getattr(type(self._batches), "__iter__", None) is tf.data.Dataset.__iter__

    def _groups(self, epoch: int, start: int, per_call: int | None) -> Generator[Group | None]:
        """Yield the batches of a pass but the first `start`, in groups for a call, then None."""
        # Held until after None: TensorFlow's iterators can take half a second to go.
        iterator = iter(self._batches)
        groups = Groups(batches_of(iterator), patient=self._step.agreed is not None)
        fast = groups.alike() if self._is_worthwhile(epoch) else None
        groups.skip(start)
        done = start
        while (kind := groups.kind()) is not None:
            batches = groups.take(self._limit(kind, kind == fast, done, per_call))
            done += len(batches)
            for group in self._parts(batches, kind, kind == fast, epoch):
                loop = self._loops.get((kind, group.fast))
                if loop is not None and not group.singly:
                    loop.stack(group)
                yield group
        yield None

    def _is_worthwhile(self, epoch: int) -> bool:
        """Return True if XLA may run batches of the pass by default."""
        steps = (self.num_batches or 0) * (self._num_passes - 1)
        return self._step.jit_compile is None and epoch > 0 and steps >= WORTHWHILE_STEPS

    def _limit(self, kind: Kind, fast: bool, done: int, per_call: int | None) -> int:
        """The maximum number of batches of a kind in the call after `done` steps."""
        if self._step.eager or (kind, fast) not in self._loops:
            return 1
        limit = self._loops[kind, fast].limit()
        if self._step.agreed is not None:
            limit = self._step.agreed(limit)
        if per_call is not None:
            limit = min(limit, per_call - done % per_call)
        if self.num_batches is not None and done < self.num_batches:
            # The stream's own code after its last batch runs after the last step.
            limit = min(limit, self.num_batches - done)
        return limit

    def _parts(self, batches: list[Batch], kind: Kind, fast: bool, epoch: int) -> Iterator[Group]:
        """Yield the batches of a call, apart from those whose steps run one by one."""
        if kind.dense and epoch == 0 and self._step.eager_where_not_finite:
            for finite, some in itertools.groupby(batches, all_finite):
                yield Group(kind, list(some), fast, singly=not finite)
        else:
            yield Group(kind, batches, fast, singly=not kind.dense)

    def _loop(self, group: Group, per_call: int | None) -> StackedLoop | None:
        """The loop for the batches of a group; None where the step can't be traced."""
        if self._step.forget_outdated_graphs():
            self._loops.clear()
        spec = spec_of(group.batches[0])
        traced = self._step.trace(spec)
        if traced is None:
            return None
        kind, fast = group.kind, group.fast
        if (kind, fast) not in self._loops:
            xla = bool(self._step.jit_compile) or (fast and _same_with_xla(traced, kind))
            # Random operations count their draws in each function apart, so there is one only.
            found = None if xla else self._loops.get((kind, False))
            if found is None:
                in_bound = MAX_BYTES // kind.size_bytes
                most = max(1, min(MAX_BATCHES, in_bound, per_call or MAX_BATCHES))
                found = StackedLoop(traced, spec, most, xla)
            self._loops[kind, fast] = found
        return self._loops[kind, fast]

    def _steps(
        self, loop: StackedLoop | None, group: Group, epoch: int, done: int
    ) -> list[StepResults]:
        """Run the steps on a group of batches, after `done` steps of the pass."""
        name, steps, batches = self._step.name, [], group.batches
        if loop is None:
            for number, batch in enumerate(batches, done + 1):
                with explained(name, f"step {number} of epoch {epoch + 1}", batch):
                    steps.append(self._step.run(batch, first_pass=epoch == 0))
            return steps
        where = f"step {done + 1}"
        if len(batches) > 1:
            last = done + len(batches)
            where = f"one of the steps {done + 1} to {last} (run_eagerly=True tells which)"
        with explained(name, f"{where} of epoch {epoch + 1}", batches[0]):
            return [loop.run(group)]


class StackedLoop:
    """A compiled loop that makes a step on each of some stacked batches of one kind.

    Attributes:
        capacity: the maximum number of batches in a call.
        xla: compiled by XLA.
    """

    def __init__(self, traced: TracedStep, spec: Any, capacity: int, xla: bool) -> None:
        """Trace the loop around a traced step for batches of `spec`."""
        self.capacity, self.xla, self._labels = capacity, xla, traced.labels
        self._sizer = CallSizer()

        def loop(stack: Batch, count: tf.Tensor) -> tf.Tensor:
            def body(i: tf.Tensor, stacks: list[Any]) -> tuple[tf.Tensor, list[Any]]:
                values = traced.function(tf.nest.map_structure(lambda part: part[i], stack))
                return i + 1, [s.write(i, value) for s, value in zip(stacks, values, strict=True)]

            size = capacity if xla else count
            stacks = [
                tf.TensorArray(tf.float32, size=size, element_shape=()) for _ in traced.labels
            ]
            # One step after the other: each starts from the variables of the one before.
            _, stacks = tf.while_loop(
                lambda i, _: i < count, body, (tf.constant(0), stacks), parallel_iterations=1
            )
            return tf.stack([s.stack() for s in stacks], axis=1) if stacks else tf.zeros((size, 0))

        def stack_of(part: tf.TensorSpec) -> tf.TensorSpec:
            return tf.TensorSpec([capacity if xla else None, *part.shape], part.dtype)

        # The graph of the step is ready; AutoGraph has nothing to convert here.
        self._function = tf.function(
            loop, autograph=False, jit_compile=xla or None
        ).get_concrete_function(tf.nest.map_structure(stack_of, spec), tf.TensorSpec((), tf.int32))

    def limit(self) -> int:
        """The maximum number of batches in the next call."""
        return min(self.capacity, self._sizer.steps_in_a_call())

    def stack(self, group: Group) -> Batch:
        """Return the batches of a group as the loop takes them; XLA compiles for one length."""
        return group.stack(self.capacity if self.xla else len(group.batches))

    def run(self, group: Group) -> StepResults:
        """Make a step on each batch."""
        count = len(group.batches)
        started_s = time.monotonic()
        values = self._function(self.stack(group), tf.constant(count)).numpy()[:count]
        self._sizer.note(count, time.monotonic() - started_s)
        return StepResults(self._labels, values, batch_size_of(group.batches[0]))


def _same_with_xla(traced: TracedStep, kind: Kind) -> bool:
    """Return True if XLA computes the same on any batch of a kind: known operations, on the CPU."""
    graph = traced.function.graph
    numbers = all(spec.dtype != tf.string for spec in kind.key)
    gpu = tf.config.list_logical_devices("GPU")
    return numbers and not gpu and suits_xla(graph) and not looks_up(graph)
