"""Maps batches by the workers of a `tf.data` service, in the batches' own order."""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from pipelines.basics.text import one_line, shown
from tfd2l.common.errors import Tfd2lError

__all__ = ["DataServiceError", "map_on_service"]

# Elements that are received ahead of the consumer, beside those that TensorFlow itself buffers.
_AHEAD = 8
_CONNECT_S = 10


class DataServiceError(Tfd2lError, ConnectionError):
    """A `tf.data` service can't be reached, or it did not map every batch."""


def map_on_service(
    batches: Iterable[Any], function: Callable[..., Any], service: str, timeout_s: float = 120
) -> Iterator[Any]:
    """Map batches by the workers of a `tf.data` service: for preparation slower than training.

    The results have the order of the batches, each exactly once, however many workers the service
    has: they are those of `batches.map(function)`. For this the batches are read here and sent to
    the service in each pass. So let them hold what is small, such as the names of files, and let
    the function read and decode. The service's machines must see the same files.

    Return the iterator from `get_dataloader`; a fit calls that method anew for each pass. The
    command `python -m tfd2l.data_service` starts a service.

    Args:
        batches: tuples of tensors (k, ...), such as `self.get_tensorloader((names, y), train)`.
        function: takes the parts of a batch and returns the mapped batch. It runs in a graph in
            another process, so it uses TensorFlow's operations and no `tf.py_function`. Variables
            and lookup tables go along with their values at the start of the pass.
        service: the dispatcher, HOST:PORT or grpc://HOST:PORT.
        timeout_s: seconds to wait for a batch.

    Raises:
        ValueError: `service` is no address, or the function calls Python code.
        DataServiceError: the service can't be reached, sent no batch in `timeout_s`, failed, or
            has lost a batch, since one of its workers ended.
    """
    found = re.fullmatch(r"(?:grpc://)?(\[[0-9a-fA-F:]+\]|[^\s:/]+):(\d{1,5})", service)
    if found is None:
        raise ValueError(f"service must be HOST:PORT, such as 10.0.0.5:5050; got {shown(service)}.")
    return _mapped(batches, function, found[1], int(found[2]), timeout_s)


def _mapped(
    batches: Iterable[Any], function: Callable[..., Any], host: str, port: int, timeout_s: float
) -> Iterator[Any]:
    read = [tuple(batch) for batch in batches]
    if not read:
        return
    sizes = [int(tf.shape(tf.nest.flatten(batch)[0])[0]) for batch in read]
    starts = tf.cumsum([0, *sizes])
    examples = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *read)
    _check_graph(function, examples)
    _check_reachable(host, port)

    def numbered(number: tf.Tensor) -> Any:
        first, last = starts[number], starts[number + 1]
        batch = tf.nest.map_structure(lambda part: part[first:last], examples)
        return number, function(*batch)

    # The dispatcher hands the numbers out to its workers, each to one.
    distributed = tf.data.experimental.service.distribute(
        tf.data.experimental.service.ShardingPolicy.DYNAMIC, f"grpc://{host}:{port}"
    )
    mapped = tf.data.Dataset.range(len(read)).map(numbered, num_parallel_calls=tf.data.AUTOTUNE)
    yield from _in_order(_received(mapped.apply(distributed), timeout_s), len(read))


def _in_order(numbered: Iterable[tuple[Any, Any]], count: int) -> Iterator[Any]:
    """Yield the values of (number, value) pairs by their numbers; each from 0 to `count`, once."""
    waiting: dict[int, Any] = {}
    following = 0
    for number, value in numbered:
        waiting[int(number)] = value
        while following in waiting:
            yield waiting.pop(following)
            following += 1
    if following < count:
        raise DataServiceError(
            f"the tf.data service has lost batch {following + 1} of {count}, since one of its "
            "workers ended. Start the pass again, or resume the fit from its last checkpoint."
        )


def _received(dataset: tf.data.Dataset, timeout_s: float) -> Iterator[Any]:
    """Yield the elements of a data set; it is read in a thread, which may wait without end."""
    arrived: queue.Queue[Any] = queue.Queue(_AHEAD)
    closed = threading.Event()

    def put(entry: Any) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                arrived.put(entry, timeout=1)
                break

    def read() -> None:
        try:
            for element in dataset:
                put(element)
                if closed.is_set():
                    return
            put(None)
        except tf.errors.OpError as error:
            put(error)

    threading.Thread(target=read, daemon=True, name="tf.data service").start()
    try:
        while (entry := arrived.get(timeout=timeout_s)) is not None:
            if isinstance(entry, Exception):
                raise DataServiceError(
                    f"a batch can't be prepared by the tf.data service: {_cause(entry)}."
                ) from None
            yield entry
    except queue.Empty:
        raise DataServiceError(
            f"the tf.data service sent no batch for {timeout_s:g} seconds: it has no worker, one of"
            " its workers ended, or a batch takes longer. Start a worker with python -m "
            "tfd2l.data_service --dispatcher HOST:PORT, or give a longer timeout_s."
        ) from None
    finally:
        closed.set()


def _cause(error: Any) -> str:
    """The function's own error, without the names of the worker and of the iterators before it."""
    text = str(error.message).partition("\n")[0]
    return one_line(re.sub(r"^.*Iterator::\S+: |\{\{.*?\}\} *", "", text), 300).rstrip(".")


def _check_reachable(host: str, port: int) -> None:
    """Raise DataServiceError at once, where TensorFlow would try for an hour."""
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=_CONNECT_S):
            pass
    except OSError as error:
        raise DataServiceError(
            f"no tf.data service answers at {host}:{port} ({error.strerror or error}); start one "
            f"with python -m tfd2l.data_service --port {port}, or name another."
        ) from None


def _check_graph(function: Callable[..., Any], examples: Any) -> None:
    """Raise ValueError if the function calls Python code, which the service's processes lack."""
    specs = tf.nest.map_structure(
        lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), examples
    )
    graph = tf.function(function).get_concrete_function(*specs).graph.as_graph_def()
    nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
    if any("PyFunc" in node.op for node in nodes):
        raise ValueError(
            "the function runs on the machines of the tf.data service, which have no Python code "
            "of this process; use TensorFlow's operations in place of tf.py_function and "
            "tf.numpy_function, or map here, with num_parallel_calls=tf.data.AUTOTUNE."
        )
