"""How a step is run over a pass of the data: compiled loops, single calls, or eagerly.

A step is a function of a batch that gives named numbers. For data in memory the batches are
gathered inside one compiled loop of many steps, so that Python is entered a few times a second
instead of once a batch; any other source of batches gets one call a batch.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfd2l.loaders import Batch, IndexedBatches, as_batch, batch_size_of, indexed

Named = list[tuple[str, tf.Tensor]]
# Python gets control back about so often: for the progress bar, the live board and Ctrl-C.
CALL_S = 0.25


class CompileError(RuntimeError):
    """A step that was asked to run compiled can't be traced."""


@dataclass(frozen=True)
class Steps:
    """What some steps on batches of one size gave.

    Attributes:
        labels: names of the values, in the order in which the step gave them.
        values: (steps, labels) float32.
        size: examples in each of the batches.
    """

    labels: tuple[str, ...]
    values: npt.NDArray[np.float32]
    size: int


@dataclass(frozen=True)
class TracedStep:
    """A step as a graph for one kind of batch: values of `labels`, each () float32."""

    function: Callable[[Batch], list[tf.Tensor]]
    labels: tuple[str, ...]


class Step:
    """A step of a model, traced once for each kind of batch (shapes and dtypes)."""

    def __init__(
        self, name: str, function: Callable[[Batch], Named], *, eager: bool, jit_compile: bool,
        must_compile: bool,
    ) -> None:  # fmt: skip
        """Wrap `function`.

        Args:
            name: what messages call it.
            function: maps a batch to named numbers of any shape, of which the mean counts.
            eager: run it as plain Python.
            jit_compile: compile it with XLA.
            must_compile: raise where it can't be traced, instead of running it eagerly.
        """
        self.name, self.eager, self.jit_compile = name, eager, jit_compile
        self._function, self._must_compile = function, must_compile
        self._traced: dict[tuple[Any, ...], TracedStep] = {}
        self._refusal: Exception | None = None

    @property
    def num_traces(self) -> int:
        """How many kinds of batch the step was traced for."""
        return len(self._traced)

    def trace(self, spec: Any) -> TracedStep | None:
        """The graph of the step for batches of `spec`; None when it has to run eagerly.

        Raises:
            CompileError: it can't be traced, and must be.
        """
        if self.eager:
            return None
        key = tuple(tf.nest.flatten(spec))
        if key not in self._traced:
            try:
                self._traced[key] = self._trace(spec)
            except Exception as error:
                if self._must_compile:
                    raise CompileError(
                        f"{self.name} can't be compiled: {_first_line(error)} Let the step use "
                        "TensorFlow operations only, or train with run_eagerly=True."
                    ) from error
                self.eager, self._refusal = True, error
                return None
        return self._traced[key]

    def run(self, batch: Batch) -> Steps:
        """One step on one batch, compiled where that is possible."""
        traced = self.trace(_spec(batch))
        if traced is not None:
            labels, values = traced.labels, traced.function(batch)
        else:
            named = self._function(batch)
            labels, values = tuple(label for label, _ in named), [_mean(v) for _, v in named]
            self._warn_once()
        return Steps(labels, np.array([values], np.float32), batch_size_of(batch))

    def _trace(self, spec: Any) -> TracedStep:
        labels: list[str] = []

        def values_of(batch: Batch) -> list[tf.Tensor]:
            named = self._function(batch)
            labels[:] = [label for label, _ in named]
            return [_mean(value) for _, value in named]

        function = tf.function(values_of, jit_compile=self.jit_compile or None)
        return TracedStep(function.get_concrete_function(spec), tuple(labels))

    def _warn_once(self) -> None:
        """Say why the step runs eagerly, once it has been seen to work that way."""
        if self._refusal is not None:
            warnings.warn(
                f"{self.name} can't be compiled and runs eagerly, which is slower: "
                f"{_first_line(self._refusal)} Trainer(run_eagerly=True) says it is meant so.",
                stacklevel=2,
            )
            self._refusal = None


class IndexedPass:
    """Passes over data in memory, in compiled loops that gather their own batches."""

    def __init__(self, step: Step, data: IndexedBatches) -> None:
        """Prepare passes of `step` over `data`, on the device that is current."""
        self._data = data.on_current_device()
        self._step = step
        self._traced: dict[int, TracedStep | None] = {}
        self._loops: dict[bool, Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]] = {}
        self._rate = _Rate()

    def run(self, epoch: int) -> Iterator[Steps]:
        """The steps of pass `epoch`, in order, as many at a time as `CALL_S` allows."""
        data, sizes = self._data, (self._data.batch_size, self._data.tail_size)
        order = data.order(epoch)
        if any(self._trace(size) is None for size in sizes if size):
            for start in range(0, data.num_examples, data.batch_size):
                yield self._step.run(data.fetch(order[start : start + data.batch_size]))
            return
        done, finished = 0, False
        while not finished:
            count = self._rate.steps_in_a_call()
            finished = done + count >= data.num_full
            stop = data.num_full if finished else done + count
            started_s = time.monotonic()
            looped, tail = self._loop(finished)(order, tf.constant(done), tf.constant(stop))
            values = looped.numpy()[done:stop]
            self._rate.note(stop - done, time.monotonic() - started_s)
            yield from self._steps(values, tail)
            done = stop

    def _steps(self, looped: npt.NDArray[np.float32], tail: list[tf.Tensor]) -> Iterator[Steps]:
        full, rest = (self._traced.get(s) for s in (self._data.batch_size, self._data.tail_size))
        if len(looped) and full is not None:
            yield Steps(full.labels, looped, self._data.batch_size)
        if tail and rest is not None:
            yield Steps(rest.labels, np.array([tail], np.float32), self._data.tail_size)

    def _trace(self, size: int) -> TracedStep | None:
        """The step's graph for prepared batches of `size` examples."""
        if size not in self._traced:
            indices = tf.TensorSpec((size,), tf.int32)
            fetch = tf.function(self._data.fetch).get_concrete_function(indices)
            self._traced[size] = self._step.trace(_spec(fetch.structured_outputs))
        return self._traced[size]

    def _loop(self, with_tail: bool) -> Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]:
        """Steps [start, stop) on full batches and, `with_tail`, the one on the smaller batch."""
        if with_tail in self._loops:
            return self._loops[with_tail]
        data, size = self._data, self._data.batch_size
        full, rest = self._traced.get(size), self._traced.get(data.tail_size)

        def loop(
            order: tf.Tensor, start: tf.Tensor, stop: tf.Tensor
        ) -> tuple[tf.Tensor, list[tf.Tensor]]:
            def body(i: tf.Tensor, stacks: list[Any]) -> tuple[tf.Tensor, list[Any]]:
                batch = data.fetch(tf.slice(order, [i * size], [size]))
                values = full.function(batch)  # type: ignore[union-attr]  # run() saw to it
                return i + 1, [s.write(i, value) for s, value in zip(stacks, values, strict=True)]

            stacks = [
                tf.TensorArray(tf.float32, size=data.num_full, element_shape=())
                for _ in (full.labels if full is not None else ())
            ]
            if data.num_full:
                # One step after the other: each one starts from the variables the last one left.
                _, stacks = tf.while_loop(
                    lambda i, _: i < stop, body, (start, stacks), parallel_iterations=1
                )
            looped = tf.stack([stack.stack() for stack in stacks], axis=1) if stacks else order[:0]
            if not with_tail or rest is None:
                return looped, []
            return looped, rest.function(data.fetch(order[data.num_full * size :]))

        # The step's graph is ready; AutoGraph has nothing to convert here.
        function = tf.function(loop, autograph=False, jit_compile=self._step.jit_compile or None)
        index = tf.TensorSpec((), tf.int32)
        order = tf.TensorSpec((data.num_examples,), tf.int32)
        self._loops[with_tail] = function.get_concrete_function(order, index, index)
        return self._loops[with_tail]


class StreamedPass:
    """Passes over any iterable of batches, a call for each."""

    def __init__(self, step: Step, batches: Callable[[], Iterable[Any]]) -> None:
        """Prepare passes of `step` over what `batches()` gives, asked anew for each pass."""
        self._step, self._batches = step, batches

    def run(self, epoch: int) -> Iterator[Steps]:
        """The steps of a pass, one at a time."""
        for batch in self._batches():
            yield self._step.run(as_batch(batch))


def pass_over(step: Step, loader: Any, again: Callable[[], Any]) -> IndexedPass | StreamedPass:
    """How `step` runs over what the data module gave."""
    examples = indexed(loader)
    if examples is not None:
        return IndexedPass(step, examples)
    if not isinstance(loader, Iterator):
        return StreamedPass(step, lambda: loader)
    # An iterator, such as a generator, is good for one pass; the next one asks for a new one.
    unused = iter([loader])
    return StreamedPass(step, lambda: next(unused, None) or again())


class _Rate:
    """How many steps fit into a call of `CALL_S`, learnt from the calls so far."""

    def __init__(self) -> None:
        self._steps_per_s: float | None = None
        self._calls = 0

    def steps_in_a_call(self) -> int:
        """At first one step, for nothing is known yet."""
        if self._steps_per_s is None:
            return 1
        return max(1, round(self._steps_per_s * CALL_S))

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a call. The first one also compiled, so it only sets a cautious start."""
        self._calls += 1
        if self._calls == 1:
            self._steps_per_s = 8 / CALL_S
        elif steps and seconds > 0:
            self._steps_per_s = steps / seconds


def _spec(batch: Any) -> Any:
    """Shapes and dtypes of a batch."""
    return tf.nest.map_structure(tf.type_spec_from_value, batch)


def _mean(value: Any) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(value, tf.float32))


def _first_line(error: Exception) -> str:
    """The error's type and what it says, without the trace that AutoGraph adds to it."""
    stated = re.findall(rf"^\s*{type(error).__name__}: (.+)", str(error), re.MULTILINE)
    lines = [*stated, *str(error).strip().splitlines(), "no reason given"]
    return f"{type(error).__name__}: {lines[0]}"
