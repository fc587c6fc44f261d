"""Makes a `tf.data.Dataset` of a Python generator that raises the generator's own errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["from_generator"]


def from_generator(
    function: Callable[[], Iterator[Any]],
    signature: Any,
    then: Callable[[tf.data.Dataset], tf.data.Dataset],
) -> tf.data.Dataset:
    """Make a data set of what a generator yields, as `tf.data.Dataset.from_generator` does.

    TensorFlow replaces an error of the generator by one of its own, with a traceback in its text.
    Iterating over this data set raises the generator's error itself. Data sets that `map`, `take`
    and the like derive from it raise TensorFlow's.

    Args:
        function: called at the start of each pass.
        signature: the `tf.TypeSpec`s of an element.
        then: batches the elements, and the like.

    Example:
        >>> def rows():
        ...     yield 1
        ...     raise ValueError("row 2 is bad.")
        >>> for row in from_generator(rows, tf.TensorSpec((), tf.int32), lambda rows: rows):
        ...     print(row.numpy())
        Traceback (most recent call last):
        ValueError: row 2 is bad.
    """
    raised: list[Exception] = []

    def noted() -> Iterator[Any]:
        try:
            yield from function()
        except Exception as error:
            raised.append(error)
            raise

    dataset = tf.data.Dataset.from_generator(do_not_convert(noted), output_signature=signature)
    return _Generated(then(dataset), raised)


class _Generated(tf.data.Dataset):  # type: ignore[misc]  # TensorFlow has no types
    """A data set that raises the errors in a list instead of TensorFlow's."""

    def __init__(self, dataset: tf.data.Dataset, raised: list[Exception]) -> None:
        self._dataset, self._raised = dataset, raised
        super().__init__(tf.data.experimental.to_variant(dataset))

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._dataset]

    @property
    def element_spec(self) -> Any:
        """The type of an element."""
        return self._dataset.element_spec

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass."""
        self._raised.clear()
        try:
            yield from super().__iter__()
            return
        except tf.errors.OpError as error:
            failure: Exception = error
        # Raised out here, it does not drag TensorFlow's error along.
        raise self._raised.pop() if self._raised else failure
