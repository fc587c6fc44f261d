"""The workers that flags and `TF_CONFIG` describe."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tfd2l.common.commands import UsageError
from tfd2l.train.settings.cluster import Cluster, cluster_of
from tfd2l.train.settings.config import ConfigError, from_settings

A, B, C = "10.0.0.1:2222", "host-2.pods:2222", "[::1]:2223"


def in_environment(monkeypatch: pytest.MonkeyPatch, value: Any) -> Cluster | None:
    text = value if isinstance(value, str) else json.dumps(value)
    monkeypatch.setenv("TF_CONFIG", text)
    return cluster_of(None, None)


def test_flags_and_the_environment_describe_the_same_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    given = cluster_of(f"{A},{B}, {C}", 1)
    assert given is not None
    assert (given.addresses, given.index) == ([A, B, C], 1)
    assert in_environment(monkeypatch, given.tf_config()) == given
    with pytest.raises(UsageError, match="exclude each other"):
        cluster_of(f"{A},{B}", 1)


def test_a_chief_comes_before_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {"worker": [B, C], "chief": [A]}
    found = [
        in_environment(monkeypatch, {"cluster": jobs, "task": {"type": job, "index": index}})
        for job, index in (("chief", 0), ("worker", 0), ("worker", 1))
    ]
    assert [one.index for one in found if one is not None] == [0, 1, 2]
    assert all(one is not None and one.addresses == [A, B, C] for one in found)


@pytest.mark.parametrize(
    "value",
    ["", " ", "{}", {"cluster": {}}, {"cluster": {"chief": [A]}, "task": {"type": "chief"}}],
)
def test_one_process_or_none_is_no_cluster(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_environment(monkeypatch, value) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nonsense", "must be JSON such as"),
        ("[]", "must be JSON such as"),
        ({"cluster": {"worker": [A, B]}, "task": {"index": "two"}}, "must be JSON such as"),
        ({"cluster": {"worker": [A, B], "ps": [C]}}, "no parameter servers"),
        ({"cluster": {"worker": [A, B]}, "task": {"type": "evaluator"}}, "has an evaluator"),
        ({"cluster": {"worker": [A, "host"]}}, "addresses HOST:PORT; got 'host'"),
        ({"cluster": {"worker": [A, "host:70000"]}}, "addresses HOST:PORT"),
        ({"cluster": {"worker": [A, A]}}, "each address once"),
        ({"cluster": {"worker": [A, B]}, "task": {"index": 2}}, "got number 2 of the job"),
        ({"cluster": {"worker": [A, B]}, "task": {"type": "chief"}}, "'chief', which has 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_environment_is_named(
    value: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        in_environment(monkeypatch, value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": f"{A},{B}"}, "workers and worker_index go together"),
        ({"worker_index": 0}, "workers and worker_index go together"),
        ({"workers": f"{A},{B}", "worker_index": 2}, "a number of the 2 workers, from 0; got 2"),
        ({"workers": f"{A},{A}", "worker_index": 0}, "each once"),
        ({"workers": "a b:1", "worker_index": 0}, "workers must be HOST:PORT,HOST:PORT"),
        ({"workers": f"{A},{B}", "worker_index": 0, "jit_compile": True}, "for one device"),
        ({"workers": f"{A},{B}", "worker_index": 0, "publish": "run"}, "needs one process"),
    ],
)
def test_flags_that_do_not_fit_are_named(settings: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_settings(settings)


def test_the_workers_are_no_part_of_a_run() -> None:
    settings = {"workers": f"{A},{B}", "worker_index": 1, "resume": "run"}
    config = from_settings(settings)
    assert (config.workers, config.worker_index) == (f"{A},{B}", 1)
    assert not {"workers", "worker_index"} & config.model_dump().keys()
