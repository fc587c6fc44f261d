"""Keeps AutoGraph from converting functions that need no conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

__all__ = ["do_not_convert"]

Function = TypeVar("Function", bound=Callable[..., Any])


def do_not_convert(function: Function) -> Function:
    """Keep AutoGraph from converting a function when TensorFlow traces it into a graph.

    AutoGraph takes about 50 ms for each function, whether or not it finds anything to convert. Use
    this for functions that branch and loop on Python values only and that call no user code, not
    even through a generator argument: AutoGraph does not convert what they call either.
    """
    return tf.autograph.experimental.do_not_convert(function)  # type: ignore[no-any-return]  # no types
