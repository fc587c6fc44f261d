"""Metrics for Prometheus: their names, their text, and the file that enables them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.test import Client

from tests.support.served import export_linear, loaded
from tfd2l.deploy.models import DeployError
from tfd2l.serve.app import Application
from tfd2l.serve.metrics import Metrics
from tfd2l.serve.monitoring import metrics_path

PATH = "/monitoring/prometheus/metrics"
# Prometheus' text format 0.0.4.
TYPE = re.compile(r"# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|histogram)")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} ([0-9.e+]+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
Sample = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: str) -> dict[Sample, float]:
    """The samples of a text; it fails for anything that Prometheus would refuse."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    found: dict[Sample, float] = {}
    name = ""
    for line in text.splitlines():
        if match := TYPE.fullmatch(line):
            name = match[1]
            assert name not in types
            types[name] = match[2]
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        ends = ("_bucket", "_sum", "_count") if types[name] == "histogram" else ("",)
        assert match[1] in [name + end for end in ends]
        labels = LABEL.findall(match[2])
        assert LABEL.sub("", match[2]) == ""
        sample = (match[1], tuple(labels))
        assert sample not in found
        found[sample] = float(match[3])
    return found


def test_a_histogram_has_the_servers_buckets_and_sums_up() -> None:
    metrics = Metrics()
    # 10, 17 and 60 million microseconds; a time that equals a limit is in the next bucket.
    for seconds in (10e-6, 17e-6, 60.0):
        metrics.count_request("mlp", "predict", "OK", seconds)
    found = parsed(metrics.text())
    labels = (("model_name", "mlp"), ("API", "predict"), ("entrypoint", "REST"))
    name = ":tensorflow:serving:request_latency"
    buckets = {dict(key[1])["le"]: n for key, n in found.items() if key[0] == f"{name}_bucket"}
    # 10 * 1.8 ** n in six digits, as C++ writes them.
    assert [*buckets][:6] == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert [*buckets][-2:] == ["1.47476e+09", "+Inf"]
    assert len(buckets) == 34
    assert [buckets["10"], buckets["18"], buckets["1.47476e+09"], buckets["+Inf"]] == [0, 2, 3, 3]
    assert [*buckets.values()] == sorted(buckets.values())
    assert found[f"{name}_count", labels] == 3
    assert found[f"{name}_sum", labels] == 6e7


def test_labels_are_escaped() -> None:
    metrics = Metrics()
    metrics.count_load('/models/"a\\b"\n/1', 0.5, succeeded=False)
    [(key, count)] = parsed(metrics.text()).items()
    assert key == (
        ":tensorflow:cc:saved_model:load_attempt_count",
        (("model_path", r"/models/\"a\\b\"\n/1"), ("status", "fail")),
    )
    assert count == 1


def test_requests_runs_and_loads_are_counted_by_tensorflow_servings_names(tmp_path: Path) -> None:
    base = tmp_path
    for name in ("linear", "broken/1"):
        (base / name).mkdir(parents=True)
    export_linear(base / "linear", 1, bias=4.2)
    (base / "monitoring.config").write_text("prometheus_config { enable: true }")
    path = metrics_path(base)
    assert path == PATH
    models = loaded(base)
    client = Client(Application(models, metrics_path=path))
    address = "/v1/models/linear"
    for target, body in (
        (f"{address}:predict", '{"instances": [[1, 2]]}'),
        (f"{address}/versions/1:predict", '{"instances": [[1, 2]]}'),
        (f"{address}:predict", '{"instances": [[1, 2, 3]]}'),
        (f"{address}:predict", "{"),
        (f"{address}:regress", '{"signature_name": "regress", "examples": ['
         '{"features": [1.0, 2.0]}, {"features": [1.0, 2.0]}]}'),
        ("/v1/models/none:predict", '{"instances": [[1, 2]]}'),
        ("/v1/models/linear:nothing", "{}"),
    ):  # fmt: skip
        client.post(target, data=body)
    assert client.get(address).status_code == 200
    response = client.get(path)
    assert response.content_type.startswith("text/plain")
    found = parsed(response.text)

    def counts(name: str) -> dict[tuple[str, ...], float]:
        """The samples of a metric, by the values of their labels."""
        return {tuple(dict(key[1]).values()): n for key, n in found.items() if key[0] == name}

    assert counts(":tensorflow:serving:request_count") == {
        ("linear", "OK"): 4,
        ("linear", "INVALID_ARGUMENT"): 2,
        ("none", "NOT_FOUND"): 1,
        ("", "INVALID_ARGUMENT"): 1,
    }
    # The status of a model is a request without an API; the time of an error is not recorded.
    assert counts(":tensorflow:serving:request_latency_count") == {
        ("linear", "predict", "REST"): 2,
        ("linear", "regress", "REST"): 1,
        ("linear", "", "REST"): 1,
    }
    assert counts(":tensorflow:serving:runtime_latency_count") == {
        ("linear", "Predict", "TF1"): 2,
        ("linear", "Regress", "TF1"): 1,
    }
    assert counts(":tensorflow:serving:request_example_count_total") == {("linear",): 2}
    assert counts(":tensorflow:core:graph_runs") == {(): 3}
    assert counts(":tensorflow:core:graph_run_time_usecs")[()] > 0
    assert counts(":tensorflow:cc:saved_model:load_attempt_count") == {
        (str(base / "broken/1"), "fail"): 1,
        (str(base / "linear/1"), "success"): 1,
    }
    load_latency = counts(":tensorflow:cc:saved_model:load_latency")
    assert load_latency.keys() == {(str(base / "linear/1"),)}
    # Without the file there are none.
    assert Client(Application(models)).get(PATH).status_code == 404


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        ("prometheus_config { path: '/metrics' }", None),
        ("prometheus_config { enable: true path: '/metrics' }", "/metrics"),
    ],
)
def test_metrics_appear_only_where_the_file_enables_them(
    tmp_path: Path, text: str, path: str | None
) -> None:
    assert metrics_path(tmp_path) is None
    (tmp_path / "monitoring.config").write_text(text)
    assert metrics_path(tmp_path) == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prometheus_config { enable: perhaps }", "must be a MonitoringConfig of TensorFlow"),
        ("models { }", "must be a MonitoringConfig of TensorFlow"),
        (
            "prometheus_config { enable: true path: 'metrics' }",
            "must begin with '/'; got 'metrics'",
        ),
    ],
)
def test_a_wrong_monitoring_config_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "monitoring.config").write_text(text)
    with pytest.raises(DeployError, match=re.escape(words)):
        metrics_path(tmp_path)
