"""A model's training or validation step: a function from a batch to named numbers.

It is traced once for each kind of batch, and runs eagerly where it can't be traced.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.common.errors import first_line, reason
from tfd2l.engine.callback import StepResults
from tfd2l.engine.errors import CompileError, PythonStateError, StepError
from tfd2l.engine.finite import all_finite
from tfd2l.engine.loaders import Batch, batch_size_of
from tfd2l.engine.tracing.graphs import untracked_state
from tfd2l.engine.tracing.python_state import PythonState
from tfd2l.engine.tracing.workers import is_of_cluster

__all__ = ["MAX_SILENT_RETRACES", "Named", "Step", "TracedStep", "explained", "mean_of",
           "spec_of"]  # fmt: skip

Named = list[tuple[str, tf.Tensor]]
# Retracings after which a warning tells the user what causes them.
MAX_SILENT_RETRACES = 5


@dataclass(frozen=True)
class TracedStep:
    """A step as a graph for one kind of batch.

    Attributes:
        function: TensorFlow's concrete function from a batch to a list of () float32.
        labels: names of those values.
    """

    function: Any
    labels: tuple[str, ...]


class Step:
    """A step of a model, traced once for each kind of batch (shapes and dtypes)."""

    def __init__(
        self,
        name: str,
        function: Callable[[Batch], Named],
        *,
        eager: bool,
        jit_compile: bool | None,
        must_compile: bool,
        state: PythonState | None = None,
        variables: Callable[[], Iterable[tf.Variable]] = tuple,
        eager_where_not_finite: bool = False,
        choose: Callable[..., Any] = tf.cond,
        agreed: Callable[[int], int] | None = None,
    ) -> None:
        """Wrap `function`.

        Args:
            name: the step's name in messages.
            function: maps a batch to named numbers of any shape, whose means are recorded.
            eager: run the step as plain Python.
            jit_compile: compile with XLA; None leaves the decision to the pass over the data.
            must_compile: raise where the step can't be traced, instead of running it eagerly.
            state: Python state that the step may not change; a graph would change it only once.
            variables: returns the variables that checkpoints save.
            eager_where_not_finite: in the first pass, run the step as plain Python on batches with
                infinite or NaN numbers, which some kernels of graphs hide from the loss.
            choose: as `tf.cond`, to make the step or not.
            agreed: the number of steps that all processes make in a call, from what one would; None
                where there is one process.
        """
        self.name = name
        self.eager_where_not_finite = eager_where_not_finite
        self.eager = eager
        self.jit_compile = jit_compile
        self.choose = choose
        self.agreed = agreed
        self._function = function
        self._must_compile = must_compile
        self._state = PythonState() if state is None else state
        self._traced: dict[tuple[Any, ...], TracedStep] = {}
        self._refusal: Exception | None = None
        self._variables = variables
        self._untracked = ""
        self._searched: set[tuple[Any, ...]] = set()
        self._retraces = 0
        self._eager_runs = 0
        self._outdated = False

    @property
    def num_traces(self) -> int:
        """The number of kinds of batch for which the step was traced."""
        return len(self._traced)

    def trace(self, spec: Any) -> TracedStep | None:
        """The graph of the step for batches of `spec`; None where it has to run eagerly.

        Raises:
            CompileError: the step can't be traced, and `must_compile` is set.
        """
        if self.eager:
            return None
        key = tuple(tf.nest.flatten(spec))
        if key not in self._traced:
            before = self._state.snapshot()
            try:
                traced = self._trace(spec)
                self._state.check(before)
                if not self._traced:
                    self._state.keep_traced()
                self._traced[key] = traced
            except Exception as error:
                # Any error counts as "can't be traced", a bug in the step included: the eager step
                # that follows raises it again, with the user's own line in its traceback.
                self._state.restore(before)
                if self._must_compile:
                    raise CompileError(
                        f"{self.name} can't be compiled: {first_line(error).rstrip('.')}. Let the "
                        "step use TensorFlow operations only, or train with run_eagerly=True."
                    ) from error
                self.eager, self._refusal = True, error
                return None
        return self._traced[key]

    def trace_again(self) -> None:
        """Trace once more what is being traced: it built layers that it should have known."""
        self._outdated = True

    def forget_outdated_graphs(self) -> bool:
        """Forget the graphs if Python state that they depend on has changed.

        Returns:
            Whether it has, so that the step has to be traced again.
        """
        changed = self._state.changed_since_traced() if self._traced else None
        if changed is None:
            return False
        self._traced.clear()
        self._searched.clear()
        self._retraces += 1
        if self._retraces == MAX_SILENT_RETRACES:
            warnings.warn(
                f"{self.name} is compiled again each time that {changed} changes, which is slow; "
                "make it a tf.Variable, which every step reads, or train with run_eagerly=True.",
                stacklevel=2,
            )
        return True

    def run(self, batch: Batch, *, first_pass: bool = False) -> StepResults:
        """One step on one batch, compiled where that is possible."""
        self.forget_outdated_graphs()
        eager = first_pass and self.eager_where_not_finite and not all_finite(batch)
        traced = None if eager else self.trace(spec_of(batch))
        if traced is not None:
            labels, values = traced.labels, traced.function(batch)
        else:
            named = self._run_eagerly(batch)
            labels, values = tuple(label for label, _ in named), [mean_of(v) for _, v in named]
            self._warn_once()
        return StepResults(labels, np.array([values], np.float32), batch_size_of(batch))

    @property
    def untracked(self) -> str | None:
        """A sentence on state that the step changes and checkpoints do not save, if any."""
        # Each graph is searched once: checkpoints may be written many times a second.
        for key in self._traced.keys() - self._searched:
            self._searched.add(key)
            function = self._traced[key].function
            self._untracked = self._untracked or untracked_state(function, self._variables()) or ""
        return self._untracked or None

    def _run_eagerly(self, batch: Batch) -> Named:
        """Run the step as plain Python; the second run is watched for changes of Python state."""
        self._eager_runs += 1
        # In the first run, layers note the shapes of their inputs.
        if self._eager_runs != 2:
            return self._function(batch)
        before = self._state.snapshot()
        named = self._function(batch)
        try:
            self._state.check(before)
        except PythonStateError as error:
            self._untracked = f"a step keeps state of its own: {error}"
        return named

    def _trace(self, spec: Any) -> TracedStep:
        labels: list[str] = []

        def values_of(batch: Batch) -> list[tf.Tensor]:
            named = self._function(batch)
            labels[:] = [label for label, _ in named]
            return [mean_of(value) for _, value in named]

        def traced() -> Any:
            function = tf.function(values_of, jit_compile=self.jit_compile or None)
            return function.get_concrete_function(spec)

        self._outdated = False
        function = traced()
        if self._outdated:
            function = traced()
        return TracedStep(function, tuple(labels))

    def _warn_once(self) -> None:
        """Warn why the step runs eagerly, after it has run that way without an error."""
        if self._refusal is not None:
            warnings.warn(
                f"{self.name} can't be compiled and runs eagerly, which is slower: "
                f"{first_line(self._refusal).rstrip('.')}. Trainer(run_eagerly=True) says it is "
                "meant so.",
                stacklevel=2,
            )
            self._refusal = None


@contextlib.contextmanager
def explained(name: str, where: str, batch: Any) -> Iterator[None]:
    """Turn the long errors of TensorFlow and Keras into one line that names step and batch.

    Args:
        name: the step's name.
        where: the number of the step and of the epoch.
        batch: the step's batch, or its spec.

    Raises:
        StepError: TensorFlow or Keras refused an operation inside.
        OpError: as it is, if another process that makes the step too is lost.
    """
    try:
        yield
    except (tf.errors.OpError, ValueError, TypeError) as error:
        if not isinstance(error, tf.errors.OpError) and "\n" not in str(error):
            raise
        if is_of_cluster(error):
            raise
        parts = [f"{tuple(spec.shape)} {spec.dtype.name}" for spec in tf.nest.flatten(batch)]
        raise StepError(
            f"{name} failed at {where}: {reason(error).rstrip('.')}. The batch: {', '.join(parts)}."
        ) from error


def spec_of(batch: Any) -> Any:
    """Shapes and dtypes of a batch."""
    return tf.nest.map_structure(tf.type_spec_from_value, batch)


@do_not_convert
def mean_of(value: Any) -> tf.Tensor:
    """The mean of all numbers in a tensor, () float32."""
    return tf.reduce_mean(tf.cast(value, tf.float32))
