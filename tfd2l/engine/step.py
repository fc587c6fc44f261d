"""A model's training or validation step: a function of a batch that gives named numbers.

It is traced once for each kind of batch, and run eagerly where that can't be done.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.common.errors import Tfd2lError, first_line, reason
from tfd2l.engine.loaders import Batch, batch_size_of
from tfd2l.engine.python_state import PythonState, PythonStateError
from tfd2l.engine.untracked_state import lost_state

Named = list[tuple[str, tf.Tensor]]
# After so many it is no matter of chance, and whoever waits should know for what.
MANY_RENEWALS = 5


class CompileError(Tfd2lError, RuntimeError):
    """A step that was asked to run compiled can't be traced."""


class StepError(Tfd2lError, ValueError):
    """A step failed on a batch that it can't take."""


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
    """A step as a graph for one kind of batch.

    Attributes:
        function: TensorFlow's concrete function of a batch; gives a list of () float32.
        labels: names of what it gives.
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
    ) -> None:
        """Wrap `function`.

        Args:
            name: what messages call it.
            function: maps a batch to named numbers of any shape, of which the mean counts.
            eager: run it as plain Python.
            jit_compile: compile it with XLA; None leaves that to what it runs over.
            must_compile: raise where it can't be traced, instead of running it eagerly.
            state: what the step may not change; a graph would do it once, while it is traced.
            variables: gives those that checkpoints keep.
        """
        self.name, self.eager, self.jit_compile = name, eager, jit_compile
        self._function, self._must_compile = function, must_compile
        self._state = PythonState() if state is None else state
        self._traced: dict[tuple[Any, ...], TracedStep] = {}
        self._refusal: Exception | None = None
        self._variables, self._lost = variables, ""
        self._searched: set[tuple[Any, ...]] = set()
        self._renewals = self._eager_runs = 0

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
            before = self._state.snapshot()
            try:
                traced = self._trace(spec)
                self._state.check(before)
                if not self._traced:
                    self._state.keep_traced()
                self._traced[key] = traced
            except Exception as error:
                self._state.restore(before)
                if self._must_compile:
                    raise CompileError(
                        f"{self.name} can't be compiled: {first_line(error).rstrip('.')}. Let the "
                        "step use TensorFlow operations only, or train with run_eagerly=True."
                    ) from error
                self.eager, self._refusal = True, error
                return None
        return self._traced[key]

    def renew(self) -> bool:
        """Forget the graphs if something that they took from Python has changed since.

        Returns:
            Whether it had, so that the step has to be traced again.
        """
        changed = self._state.changed_since_traced() if self._traced else None
        if changed is None:
            return False
        self._traced.clear()
        self._searched.clear()
        self._renewals += 1
        if self._renewals == MANY_RENEWALS:
            warnings.warn(
                f"{self.name} is compiled anew each time that {changed} changes, which is slow; "
                "make it a tf.Variable, which a step reads anew, or train with run_eagerly=True.",
                stacklevel=2,
            )
        return True

    def run(self, batch: Batch) -> Steps:
        """One step on one batch, compiled where that is possible."""
        self.renew()
        traced = self.trace(spec_of(batch))
        if traced is not None:
            labels, values = traced.labels, traced.function(batch)
        else:
            named = self._run_eagerly(batch)
            labels, values = tuple(label for label, _ in named), [_mean(v) for _, v in named]
            self._warn_once()
        return Steps(labels, np.array([values], np.float32), batch_size_of(batch))

    @property
    def lost(self) -> str | None:
        """What of the state that the step changes no checkpoint has, in a sentence."""
        # Once for each graph: checkpoints may be written many times a second.
        for key in self._traced.keys() - self._searched:
            self._searched.add(key)
            function = self._traced[key].function
            self._lost = self._lost or lost_state(function, self._variables()) or ""
        return self._lost or None

    def _run_eagerly(self, batch: Batch) -> Named:
        """The step as plain Python; once, it is watched for what it changes there."""
        self._eager_runs += 1
        # Not the first, in which layers note what they are given.
        if self._eager_runs != 2:
            return self._function(batch)
        before = self._state.snapshot()
        named = self._function(batch)
        try:
            self._state.check(before)
        except PythonStateError as error:
            self._lost = f"a step keeps state of its own: {error}"
        return named

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
                f"{first_line(self._refusal).rstrip('.')}. Trainer(run_eagerly=True) says it is "
                "meant so.",
                stacklevel=2,
            )
            self._refusal = None


@contextlib.contextmanager
def explained(name: str, where: str, batch: Any) -> Iterator[None]:
    """Say in a line what TensorFlow and Keras say in fifty.

    Args:
        name: of the step.
        where: which step of which epoch.
        batch: what it ran on, or its spec.

    Raises:
        StepError: TensorFlow refused what was done within.
    """
    try:
        yield
    except (tf.errors.OpError, ValueError, TypeError) as error:
        if not isinstance(error, tf.errors.OpError) and "\n" not in str(error):
            raise
        parts = [f"{tuple(spec.shape)} {spec.dtype.name}" for spec in tf.nest.flatten(batch)]
        raise StepError(
            f"{name} failed at {where}: {reason(error).rstrip('.')}. The batch: {', '.join(parts)}."
        ) from error


def spec_of(batch: Any) -> Any:
    """Shapes and dtypes of a batch."""
    return tf.nest.map_structure(tf.type_spec_from_value, batch)


def check_has(role: str, given: Any, *methods: str) -> None:
    """Raise TypeError unless what was given to `Trainer.fit` as `role` has these methods."""
    missing = [name for name in methods if not hasattr(given, name)]
    if missing:
        raise TypeError(
            f"Trainer.fit(model, data) needs a d2l.Module and a d2l.DataModule; the {role} given "
            f"is a {type(given).__name__}, which has no {missing[0]}. A Keras model goes in as the "
            "attribute net of a d2l.Classifier or d2l.Module, a data set as what a DataModule's "
            "get_dataloader(train) returns."
        )


@do_not_convert
def check_loss(loss: Any, name: str) -> None:
    """Raise ValueError unless the loss that the model `name` returned is one number.

    Shape (1,) is one too.
    """
    if loss is None:
        raise ValueError(f"{name}.training_step returned None; let it return the loss.")
    shape = tf.convert_to_tensor(loss).shape
    if shape.num_elements() not in (None, 1):
        raise ValueError(
            f"{name}.training_step returned a loss of shape {shape}, whose gradient would be that "
            "of the sum; return one number, e.g. tf.reduce_mean of the examples' losses, and "
            "tf.add_n of several penalties."
        )


@do_not_convert
def check_gradients(gradients: Sequence[Any], name: str) -> None:
    """Raise ValueError if the loss depends on none of the variables of the model `name`."""
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            f"the loss depends on none of the {len(gradients)} trainable variables of "
            f"{name}; make parameters tf.Variables or Keras layers that are "
            "attributes of the model, and compute the loss from them with TensorFlow."
        )


@do_not_convert
def _mean(value: Any) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(value, tf.float32))
