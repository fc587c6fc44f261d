"""The methods of PyTorch's modules that have a meaning here, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from pipelines.basics.text import shown
from tfd2l.engine.variable_names import assign_all, named_variables

__all__ = ["TorchNames"]


class TorchNames:
    """Methods of PyTorch's `nn.Module`, which `nn_Module` inherits."""

    training: bool

    def train(self, mode: bool = True) -> Self:
        """Let layers behave as in training when the model is called; return the model.

        The trainer's steps need no such call: training steps train, validation steps don't.

        Args:
            mode: False for inference, as `eval()`.
        """
        self.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Let layers behave as in inference when the model is called; return the model."""
        return self.train(False)

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """The trainable variables with their names, such as 'W' and 'net.1.kernel'."""
        return self._named("trainable_variables")

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copies of the values of `weights` by name; `np.savez(path, **state)` writes them.

        Example:
            >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
            >>> state = model.state_dict()
            >>> {name: value.shape for name, value in state.items()}
            {'w': (2, 1), 'b': (1,)}
            >>> model.load_state_dict(state)
        """
        return {name: np.array(variable.numpy()) for name, variable in self._named("weights")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Assign the values that `state_dict` of an equal model returned.

        Args:
            state: an array of the variable's shape for each name.

        Raises:
            TypeError: `state` is no mapping from names.
            ValueError: names are missing or unknown, a shape differs, or a value has no numbers;
                then nothing is changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"a state has an array for each name, as state_dict() returns; got {shown(state)}. "
                "load_weights(path) reads a file."
            )
        variables = dict(self._named("weights"))
        wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
        given = {name: np.shape(value) for name, value in state.items()}
        if differing := given.items() ^ wanted.items():
            names = ", ".join(sorted({str(name) for name, _ in differing}))
            raise ValueError(
                f"the state needs the names and shapes {wanted}; it differs in {names}. A model "
                "that has been called on no batch yet may lack weights: call it first."
            )
        assign_all([*variables.values()], [state[name] for name in variables])

    def _named(self, which: str) -> Iterator[tuple[str, Any]]:
        """The variables in the property `which`, in its order, with their names."""
        names = {id(variable): name for name, variable in named_variables(self).items()}
        return ((names[id(variable)], variable) for variable in getattr(self, which))
