"""Code that is fit for a graph as it stands, everybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

__all__ = ["as_is"]

Function = TypeVar("Function", bound=Callable[..., Any])


def as_is(function: Function) -> Function:
    """Keep AutoGraph from rewriting a function where a graph is traced of it.

    AutoGraph takes a twentieth of a second for a function, whether it finds anything to rewrite or
    not. So this is for functions that branch and loop on Python values only, and run no code of a
    reader's, in a generator that they are given neither: what they call is not rewritten.
    """
    return tf.autograph.experimental.do_not_convert(function)  # type: ignore[no-any-return]
