"""Saves constructor arguments as attributes, and adds methods to classes. D2L 3.2.1."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

__all__ = ["HyperParameters", "add_to_class"]

Method = TypeVar("Method", bound=Callable[..., Any])


def add_to_class(Class: type) -> Callable[[Method], Method]:
    """Make the decorated function a method of `Class`, also for objects that exist already.

    The function's name stays usable in the notebook that defines it.

    Example:
        >>> class A:
        ...     b = 1
        >>> a = A()
        >>> @d2l.add_to_class(A)
        ... def double(self):
        ...     return 2 * self.b
        >>> a.double()
        2

    Source: D2L 3.2.1.
    """

    def register(function: Method) -> Method:
        setattr(Class, function.__name__, function)
        return function

    return register


class HyperParameters:
    """Base of classes whose constructor arguments are their hyperparameters.

    Example:
        >>> class B(d2l.HyperParameters):
        ...     def __init__(self, a, b, c):
        ...         self.save_hyperparameters(ignore=["c"])
        >>> model = B(a=1, b=2, c=3)
        >>> model.a, dict(model.hparams)
        (1, {'a': 1, 'b': 2})

    Source: D2L 3.2.1.
    """

    def save_hyperparameters(self, ignore: Iterable[str] = ()) -> None:
        """Save the caller's constructor arguments as attributes and, read-only, in `self.hparams`.

        The constructor's other local variables are not saved. A call in a subclass adds its
        arguments to those that the parent's constructor has saved.

        Args:
            ignore: names of arguments to leave out, beside those that start with an underscore.

        Raises:
            AttributeError: an argument has the name of a read-only attribute of the class.
        """
        frame = inspect.currentframe()
        caller = frame.f_back if frame is not None else None
        if caller is None:  # pragma: no cover - CPython always has frames
            raise RuntimeError("save_hyperparameters needs Python's stack frames (CPython).")
        arguments = _arguments_of(inspect.getargvalues(caller))
        skipped = {*ignore}
        chosen = {
            name: value
            for name, value in arguments.items()
            if name not in skipped and not name.startswith("_")
        }
        inherited: Mapping[str, Any] = getattr(self, "hparams", {})
        self.hparams = MappingProxyType({**inherited, **chosen})
        for name, value in chosen.items():
            # TensorFlow's attribute tracking would put wrappers into the caller's own dicts and
            # lists; `object.__setattr__` goes past it.
            container = isinstance(value, dict | list | tuple)
            try:
                (object.__setattr__ if container else setattr)(self, name, value)
            except AttributeError as error:
                raise AttributeError(
                    f"hyperparameter {name!r} has the name of a read-only attribute of "
                    f"{type(self).__name__}; rename the constructor's argument, or pass "
                    f"ignore=[{name!r}]."
                ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Return all attributes for `copy.deepcopy`, `hparams` as a dict that can be copied."""
        state = dict(vars(self))
        if "hparams" in state:
            state["hparams"] = dict(state["hparams"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes, past TensorFlow's tracking, whose records are among them."""
        vars(self).update(state)
        if "hparams" in state:
            vars(self)["hparams"] = MappingProxyType(state["hparams"])


def _arguments_of(values: inspect.ArgInfo) -> dict[str, Any]:
    """Return the caller's arguments by name, without `self` and with the entries of `**kwargs`."""
    named = {name: values.locals[name] for name in values.args[1:]}
    if values.varargs is not None:
        named[values.varargs] = values.locals[values.varargs]
    if values.keywords is not None:
        named.update(values.locals[values.keywords])
    return named
