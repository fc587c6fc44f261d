"""Counts requests, runs and loads, and exports them to Prometheus as TensorFlow Serving does.

Names, labels and buckets are those of servables/tensorflow/util.cc in TensorFlow Serving, and of
cc/saved_model/loader.cc and core/framework/metrics.cc in TensorFlow; times are in microseconds.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

__all__ = ["Metrics"]

_REQUESTS = ":tensorflow:serving:request_count"
_REQUEST_TIMES = ":tensorflow:serving:request_latency"
_RUN_TIMES = ":tensorflow:serving:runtime_latency"
_EXAMPLES = ":tensorflow:serving:request_example_count_total"
_RUNS = ":tensorflow:core:graph_runs"
_RUN_TIME = ":tensorflow:core:graph_run_time_usecs"
_LOADS = ":tensorflow:cc:saved_model:load_attempt_count"
_LOAD_TIME = ":tensorflow:cc:saved_model:load_latency"
_COUNTERS = (_REQUESTS, _EXAMPLES, _RUNS, _RUN_TIME, _LOADS, _LOAD_TIME)
# Buckets::Exponential(10, 1.8, 33), up to some 20 minutes.
_LIMITS_US = tuple(10 * 1.8**power for power in range(33))

# The labels of a count, in their order.
Labels = tuple[tuple[str, str], ...]


@dataclass
class _Histogram:
    """A histogram of times in microseconds; the last bucket has those beyond all limits."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(_LIMITS_US) + 1))
    total_us: int = 0

    def add(self, time_us: int) -> None:
        # As in TensorFlow's Histogram, a time that equals a limit is in the next bucket.
        self.buckets[bisect.bisect_right(_LIMITS_US, time_us)] += 1
        self.total_us += time_us


class Metrics:
    """Counters and histograms, shared by the threads that load models and answer requests."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[Labels]] = {name: Counter() for name in _COUNTERS}
        self._times: dict[str, dict[Labels, _Histogram]] = {_REQUEST_TIMES: {}, _RUN_TIMES: {}}

    def count_request(self, model: str, api: str, status: str, seconds: float) -> None:
        """Count an answered request; of those that failed, the time is not recorded.

        Args:
            model: the model's name; empty for a malformed request.
            api: 'predict', 'classify' or 'regress'; empty for a request for status or metadata.
            status: name of the TF_Code, such as 'OK' or 'NOT_FOUND'.
            seconds: the time that the answer took.
        """
        with self._lock:
            self._counts[_REQUESTS][("model_name", model), ("status", status)] += 1
            if status == "OK":
                labels = ("model_name", model), ("API", api), ("entrypoint", "REST")
                self._add_time(_REQUEST_TIMES, labels, seconds)

    def count_run(self, model: str, api: str, seconds: float) -> None:
        """Count a run of a model's graph that answered a request of this API."""
        with self._lock:
            self._counts[_RUNS][()] += 1
            self._counts[_RUN_TIME][()] += _microseconds(seconds)
            labels = ("model_name", model), ("API", api.capitalize()), ("runtime", "TF1")
            self._add_time(_RUN_TIMES, labels, seconds)

    def count_examples(self, model: str, num_examples: int) -> None:
        """Count the examples of a request for Classify or Regress."""
        with self._lock:
            self._counts[_EXAMPLES][(("model", model),)] += num_examples

    def count_load(self, path: str, seconds: float, *, succeeded: bool) -> None:
        """Count an attempt to load the version in this directory."""
        status = "success" if succeeded else "fail"
        with self._lock:
            self._counts[_LOADS][("model_path", path), ("status", status)] += 1
            if succeeded:
                self._counts[_LOAD_TIME][(("model_path", path),)] += _microseconds(seconds)

    def text(self) -> str:
        r"""Everything in Prometheus' text format, as prometheus_exporter.cc writes it.

        Example:
            >>> from tfd2l.serve.metrics import Metrics
            >>> metrics = Metrics()
            >>> metrics.count_run("mlp", "predict", seconds=0.25)
            >>> lines = metrics.text().splitlines()
            >>> print(*[line for line in lines if "graph_run_time" in line], sep="\n")
            # TYPE :tensorflow:core:graph_run_time_usecs counter
            :tensorflow:core:graph_run_time_usecs{} 250000
        """
        with self._lock:
            groups = {name: [*_counter_lines(name, self._counts[name])] for name in self._counts}
            for name, times in self._times.items():
                groups[name] = [*_histogram_lines(name, times)]
        return "".join(f"{line}\n" for name in sorted(groups) for line in groups[name])

    def _add_time(self, name: str, labels: Labels, seconds: float) -> None:
        self._times[name].setdefault(labels, _Histogram()).add(_microseconds(seconds))


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)


def _counter_lines(name: str, counts: Mapping[Labels, int]) -> Iterator[str]:
    yield f"# TYPE {name} counter"
    for labels, count in sorted(counts.items()):
        yield f"{name}{{{_written(labels)}}} {count}"


def _histogram_lines(name: str, times: Mapping[Labels, _Histogram]) -> Iterator[str]:
    yield f"# TYPE {name} histogram"
    limits = [f"{limit:g}" for limit in _LIMITS_US] + ["+Inf"]
    for labels, histogram in sorted(times.items()):
        written, num_times = _written(labels), sum(histogram.buckets)
        for limit, count in zip(limits, accumulate(histogram.buckets), strict=True):
            yield f'{name}_bucket{{{written},le="{limit}"}} {count}'
        yield f"{name}_sum{{{written}}} {histogram.total_us:g}"
        yield f"{name}_count{{{written}}} {num_times}"


def _written(labels: Labels) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
