"""How a step is run over a pass of the data: compiled loops, single calls, or eagerly.

For data in memory the batches are gathered inside one compiled loop of many steps, so that Python
is entered a few times a second instead of once a batch; any other source of batches gets one call
a batch.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfd2l.engine.loaders import IndexedBatches, as_batch, indexed
from tfd2l.engine.step import Step, Steps, TracedStep, explained, spec_of
from tfd2l.engine.xla import WORTHWHILE_STEPS, suits_xla

# Python gets control back about so often: for the progress bar, the live board and Ctrl-C.
CALL_S = 0.25


class IndexedPass:
    """Passes over data in memory, in compiled loops that gather their own batches.

    Unasked, XLA takes over after the first pass where it gives the same and pays. The first pass
    is TensorFlow's own in any case: its kernels refuse a class id out of range, XLA's read another.
    """

    def __init__(self, step: Step, data: IndexedBatches, num_passes: int) -> None:
        """Prepare `num_passes` passes of `step` over `data`, on the device that is current."""
        self._data = data.on_current_device()
        self._step = step
        # One call in place of several eager operations, which small data would notice.
        self._shuffled = tf.function(self._data.order, autograph=False).get_concrete_function(
            tf.TensorSpec((), tf.int64)
        )
        self._in_order = None if self._data.shuffle else self._data.order(0)
        self._traced: dict[int, TracedStep | None] = {}
        self._loops: dict[bool, Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]] = {}
        self._rates = {False: _Rate(), True: _Rate()}
        self._specs: dict[int, Any] = {}
        self._num_batches = data.num_full + (data.tail_size > 0)
        self._later_steps = data.num_full * (num_passes - 1)
        # Whether passes go to XLA; None until the second one, for the first is a graph's.
        self._xla = step.jit_compile

    def run(self, epoch: int, start: int = 0, most: int | None = None) -> Iterator[list[Steps]]:
        """The steps of pass `epoch`, in order, as many at a time as `CALL_S` allows.

        What is given at a time was made in one call; the model is where it ended.

        Args:
            epoch: number of the pass.
            start: steps of it that were made before.
            most: stop after each multiple of so many steps, if not sooner.
        """
        order, done = self._order(epoch), start
        while done < self._num_batches:
            if self._is_compiled(epoch):
                made = self._call(order, epoch, done, most)
            else:
                made = [self._eager_step(order, epoch, done)]
            done += sum(len(steps.values) for steps in made)
            yield made

    def _is_compiled(self, epoch: int) -> bool:
        """Whether there are graphs of the step, traced again if what they stand on has changed."""
        if self._step.renew():
            self._traced.clear()
            self._loops.clear()
            self._xla = self._step.jit_compile
        sizes = (self._data.batch_size, self._data.tail_size)
        if any(self._trace(size) is None for size in sizes if size):
            return False
        if self._xla is None and epoch > 0:
            self._xla = self._later_steps >= WORTHWHILE_STEPS and self._suits_xla()
        return True

    def _eager_step(self, order: tf.Tensor, epoch: int, done: int) -> Steps:
        """The step after `done` of them, without a graph."""
        first = done * self._data.batch_size
        batch = self._data.fetch(order[first : first + self._data.batch_size])
        with explained(self._step.name, f"step {done + 1} of epoch {epoch + 1}", batch):
            return self._step.run(batch)

    def _call(self, order: tf.Tensor, epoch: int, done: int, most: int | None) -> list[Steps]:
        """As many steps after `done` of them as one call takes."""
        data, xla = self._data, bool(self._xla)
        count = self._rates[xla].steps_in_a_call()
        if most is not None:
            count = min(count, most - done % most)
        stop = min(done + count, data.num_full)
        # The smaller last batch goes along, unless a stop before it was asked for.
        pause = most is not None and data.tail_size and done < stop and stop % most == 0
        finished = stop == data.num_full and not pause
        started_s = time.monotonic()
        bounds = (tf.constant(done), tf.constant(stop), tf.constant(finished))
        last = stop + (finished and data.tail_size > 0)
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
        self._rates[xla].note(stop - done, time.monotonic() - started_s)
        return self._steps(values, tail if finished else None)

    def _order(self, epoch: int) -> tf.Tensor:
        """Indices of the examples of pass `epoch`."""
        if self._in_order is not None:
            return self._in_order
        return self._shuffled(tf.constant(epoch, tf.int64))

    def _tail_apart(self, xla: bool) -> bool:
        """Whether the step on the smaller last batch stays TensorFlow's own beside XLA's loop.

        Unasked it does: XLA would compile the step once more for that size, for one step a pass.
        """
        return xla and not self._step.jit_compile and self._data.tail_size > 0

    def _suits_xla(self) -> bool:
        """Whether this runs on the CPU, where that was measured, and XLA gives the same there."""
        graphs = [traced.function.graph for traced in self._traced.values() if traced is not None]
        return not tf.config.list_logical_devices("GPU") and all(map(suits_xla, graphs))

    def _steps(self, looped: npt.NDArray[np.float32], tail: list[tf.Tensor] | None) -> list[Steps]:
        full, rest = (self._traced.get(s) for s in (self._data.batch_size, self._data.tail_size))
        steps = []
        if len(looped) and full is not None:
            steps.append(Steps(full.labels, looped, self._data.batch_size))
        if tail is not None and rest is not None:
            steps.append(Steps(rest.labels, np.array([tail], np.float32), self._data.tail_size))
        return steps

    def _trace(self, size: int) -> TracedStep | None:
        """The step's graph for prepared batches of `size` examples."""
        if size not in self._traced:
            indices = tf.TensorSpec((size,), tf.int32)
            fetch = tf.function(self._data.fetch, autograph=False).get_concrete_function(indices)
            self._specs[size] = spec_of(fetch.structured_outputs)
            self._traced[size] = self._step.trace(self._specs[size])
        return self._traced[size]

    def _loop(self, xla: bool) -> Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]:
        """Steps [start, stop) on full batches and, `with_tail`, the one on the smaller batch.

        There is one such function for a fit: random operations count their numbers in each function
        on its own, and how the steps divide into calls depends on how fast the machine is.
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
            looped = tf.zeros((data.num_full, 0))  # what a step gives that plots nothing
            if stacks:
                looped = tf.stack([stack.stack() for stack in stacks], axis=1)
            if rest is None:
                return looped, []
            return looped, tf.cond(
                with_tail,
                lambda: list(rest.function(data.fetch(order[data.num_full * size :]))),
                lambda: [tf.zeros(()) for _ in rest.labels],
            )

        # The step's graph is ready; AutoGraph has nothing to convert here.
        function = tf.function(loop, autograph=False, jit_compile=xla or None)
        index = tf.TensorSpec((), tf.int32)
        order = tf.TensorSpec((data.num_examples,), tf.int32)
        flag = tf.TensorSpec((), tf.bool)
        self._loops[xla] = function.get_concrete_function(order, index, index, flag)
        return self._loops[xla]


class StreamedPass:
    """Passes over any iterable of batches, a call for each."""

    def __init__(self, step: Step, batches: Iterable[Any]) -> None:
        """Prepare passes of `step` over the batches, which are iterated anew for each pass."""
        self._step, self._batches = step, batches
        self._had_batches = False

    def run(self, epoch: int, start: int = 0, most: int | None = None) -> Iterator[list[Steps]]:
        """The steps of the next pass, number `epoch`, one at a time, but for the first `start`.

        Raises:
            ValueError: the batches have come to an end before this pass.
        """
        batches = itertools.islice(self._batches, start, None)
        number = start
        for number, given in enumerate(batches, start + 1):
            batch = as_batch(given)
            with explained(self._step.name, f"step {number} of epoch {epoch + 1}", batch):
                steps = self._step.run(batch)
            yield [steps]
        if number == 0 and self._had_batches:
            raise ValueError(
                f"the data of {self._step.name} has no batches in epoch {epoch + 1}, after the "
                "epochs before it had; give a loader that starts anew each time it is asked for."
            )
        self._had_batches = number > 0


def pass_over(step: Step, loader: Any, num_passes: int) -> IndexedPass | StreamedPass:
    """How `step` runs over what the data module gave."""
    examples = indexed(loader)
    if examples is not None:
        return IndexedPass(step, examples, num_passes)
    return StreamedPass(step, loader)


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
