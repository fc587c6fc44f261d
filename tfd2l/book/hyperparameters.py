"""Constructor arguments as attributes, and methods added to a class after its definition."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def add_to_class(Class: type) -> Callable[[Method], Method]:
    """Register the decorated function as a method of `Class`, also for objects made before.

    The function is returned too, so its name stays usable in the notebook that defines it.
    Source: D2L 3.2.1.
    """

    def register(function: Method) -> Method:
        setattr(Class, function.__name__, function)
        return function

    return register


class HyperParameters:
    """Base of classes whose constructor arguments are their hyperparameters.

    Source: D2L 3.2.1.
    """

    def save_hyperparameters(self, ignore: Iterable[str] = ()) -> None:
        """Save the caller's constructor arguments as attributes and, read-only, in `self.hparams`.

        Only arguments are taken, not the constructor's other local variables. Called again
        further down the class hierarchy, it merges with what the parent saved.

        Args:
            ignore: names of arguments to leave out. Names that start with an underscore always are.

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
            # TensorFlow's attribute tracking would replace the contents of the caller's own dicts
            # and lists by its wrappers, in place; set this way, they stay what they are.
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
        """For `copy.deepcopy`: all attributes; the read-only view can't be copied, a dict can."""
        state = dict(vars(self))
        if "hparams" in state:
            state["hparams"] = dict(state["hparams"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave; set past TensorFlow's tracking, whose records are in it."""
        vars(self).update(state)
        if "hparams" in state:
            vars(self)["hparams"] = MappingProxyType(state["hparams"])


def _arguments_of(values: inspect.ArgInfo) -> dict[str, Any]:
    """The caller's arguments by name: `self` left out, `**kwargs` spread."""
    named = {name: values.locals[name] for name in values.args[1:]}
    if values.varargs is not None:
        named[values.varargs] = values.locals[values.varargs]
    if values.keywords is not None:
        named.update(values.locals[values.keywords])
    return named
