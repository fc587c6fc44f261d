"""The served models: versions come and go while requests run, as `models.config` says."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from werkzeug.exceptions import HTTPException

from tests.support.served import export_linear, until
from tfd2l.deploy import command as deploy
from tfd2l.export.c_api.session import Session
from tfd2l.export.loaded import LoadedVersion
from tfd2l.serve import models as served_models
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 4 of a model that answers the version's number for two zeros."""
    base = tmp_path_factory.mktemp("store")
    for number in (1, 2, 3, 4):
        export_linear(base, number, bias=number)
    return base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "models"
    (base / "linear").mkdir(parents=True)
    return base


@pytest.fixture
def models(base: Path) -> ServedModels:
    return ServedModels(base)


def publish(store: Path, base: Path, *numbers: int, name: str = "linear") -> None:
    """Copy versions aside, then rename them into place."""
    (base / name).mkdir(exist_ok=True)
    for number in numbers:
        staging = base / name / ".staging-x"
        shutil.copytree(store / str(number), staging)
        staging.rename(base / name / str(number))


def configure(base: Path, models: ServedModels, *flags: str) -> None:
    """Call deploy, and read what it wrote."""
    # The command refuses what a container could not read.
    for path in (base, *base.glob("**/")):
        path.chmod(0o755)
    assert deploy.main([str(base), "--force", *flags]) == 0
    models.poll()


def answer(version: LoadedVersion) -> float:
    zeros = np.zeros((1, 2), np.float32)
    found = version.call("predict", "serving_default", {"features": zeros})
    return float(found["prediction"][0])


def served(models: ServedModels, number: int | None = None, label: str | None = None) -> float:
    """The version that answers, or the status of the error."""
    try:
        return answer(models.version("linear", number, label))
    except HTTPException as error:
        return error.code or 0


def states(models: ServedModels) -> dict[int, str]:
    return {number: status.state for number, status in models.statuses("linear").items()}


def one_error(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    return error


def test_the_highest_version_is_served_by_name_and_by_number(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1, 2)
    assert models.available() == {}
    models.poll()
    assert models.available() == {"linear": 2}
    assert served(models) == served(models, 2) == 2
    assert served(models, 1) == served(models, 3) == 404


def test_a_new_version_replaces_the_last_one_and_new_models_appear(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    models.poll()
    publish(store, base, 3)
    publish(store, base, 2, name="other")
    models.poll()
    assert served(models) == 3
    assert states(models) == {3: "AVAILABLE", 1: "END"}
    assert models.available() == {"linear": 3, "other": 2}


def test_a_replaced_version_is_freed_after_its_last_request(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    with mock.patch.object(Session, "close", autospec=True) as close:
        models.poll()
        last = models.version("linear")
        publish(store, base, 2)
        models.poll()
        assert states(models) == {2: "AVAILABLE", 1: "END"}
        assert served(models) == 2
        assert served(models, 1) == 404
        # It is still in memory.
        assert answer(last) == 1
        close.assert_not_called()
        del last
        close.assert_called_once()


@pytest.mark.parametrize("kind", ["plain file", "empty directory", "half a copy"])
def test_a_version_that_fails_is_logged_once_and_the_last_one_still_answers(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    publish(store, base, 1)
    models.poll()
    bad = base / "linear" / "2"
    if kind == "plain file":
        bad.write_text("")
    elif kind == "empty directory":
        bad.mkdir()
    else:
        shutil.copytree(store / "2", bad, ignore=shutil.ignore_patterns("variables.data*"))
    for _ in range(3):
        models.poll()
    assert served(models) == 1
    assert models.failures() == ["linear/2"]
    record = one_error(caplog)
    assert "version 2 of linear can't be served, and won't be tried again" in record.message
    assert record.exc_info is None
    # A repair is not noticed, the next number is.
    if bad.is_file():
        bad.unlink()
    shutil.copytree(store / "2", bad, dirs_exist_ok=True)
    models.poll()
    assert states(models) == {2: "END", 1: "AVAILABLE"}
    assert models.statuses("linear")[2].error
    publish(store, base, 3)
    models.poll()
    assert served(models) == 3


def test_a_strange_error_while_loading_does_not_stop_the_watching(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, base, 1, name="a-strange-one")
    with mock.patch.object(served_models, "LoadedVersion", side_effect=AttributeError):
        models.poll()
    publish(store, base, 1)
    models.poll()
    assert models.available() == {"linear": 1}
    assert models.failures() == ["a-strange-one/1"]
    assert one_error(caplog).exc_info is not None


def test_a_removed_version_is_unloaded_and_may_come_back(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1, 2)
    models.poll()
    for _ in range(2):
        hidden = (base / "linear/2").rename(base / "hidden")
        models.poll()
        assert served(models) == 1
        assert states(models) == {2: "END", 1: "AVAILABLE"}
        hidden.rename(base / "linear/2")
        models.poll()
        assert served(models) == 2


def test_a_missing_directory_is_logged_once_and_the_loaded_models_still_answer(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, base, 1)
    models.poll()
    hidden = base.rename(base.with_name("hidden"))
    models.poll()
    models.poll()
    hidden.rename(base)
    assert served(models) == 1
    assert f"{base} can't be read" in one_error(caplog).message
    shutil.rmtree(base / "linear")
    models.poll()
    assert served(models) == 1


def test_requests_never_fail_while_a_thread_watches_the_versions(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    models.poll()
    stopped, found = threading.Event(), list[float]()

    def query() -> None:
        while not stopped.is_set():
            found.append(served(models))

    with ThreadPoolExecutor(4) as pool, models.watching(0.01):
        querying = [pool.submit(query) for _ in range(4)]
        try:
            for number in (2, 3):
                publish(store, base, number)
                until(lambda number=number: number in found[-1:])  # type: ignore[misc]
        finally:
            stopped.set()
        for future in querying:
            future.result()
    assert sorted(set(found)) == [1, 2, 3]
    assert states(models) == {3: "AVAILABLE", 2: "END", 1: "END"}
    assert "watch-models" not in [thread.name for thread in threading.enumerate()]


def test_a_pinned_version_answers_whatever_is_published_later(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1, 2, 3)
    configure(base, models, "--pin", "linear=2")
    publish(store, base, 4)
    # A model that the configuration lacks serves its highest version.
    publish(store, base, 1, 3, name="new")
    models.poll()
    assert models.available() == {"linear": 2, "new": 3}
    assert served(models) == served(models, 2) == 2
    assert served(models, 4) == 404
    # Back to the highest.
    configure(base, models)
    assert served(models) == 4
    assert states(models) == {4: "AVAILABLE", 2: "END"}


def test_labels_name_versions_and_the_highest_answers_without_one(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1, 2, 3)
    configure(base, models, "--stable", "linear=1", "--canary", "linear=3")
    assert served(models) == served(models, label="canary") == 3
    assert served(models, label="stable") == served(models, 1) == 1
    assert served(models, 2) == 404
    assert served(models, label="other") == 400
    # A label may move while its version stays.
    configure(base, models, "--pin", "linear=1,3", "--stable", "linear=3")
    assert served(models, label="stable") == 3
    assert served(models, label="canary") == 400


def test_several_last_versions_are_kept(store: Path, base: Path, models: ServedModels) -> None:
    publish(store, base, 1, 2, 3)
    configure(base, models, "--keep-versions", "2")
    assert states(models) == {3: "AVAILABLE", 2: "AVAILABLE"}
    assert [served(models, number) for number in (None, 2, 1)] == [3, 2, 404]


def test_the_last_version_answers_until_the_pinned_one_has_loaded(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1, 2, 3)
    models.poll()
    (base / "linear/1/saved_model.pb").write_text("broken")
    configure(base, models, "--pin", "linear=1")
    assert served(models) == 3
    assert models.failures() == ["linear/1"]


def test_a_watcher_outlives_any_error_and_the_problem_is_kept_until_a_poll_goes_well(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, base, 1)
    models.poll()
    with (
        mock.patch.object(served_models, "models_in", side_effect=ZeroDivisionError("a\nbug")),
        models.watching(0.01),
    ):
        until(lambda: bool(models.problems()))
    [problem] = models.problems()
    assert problem == r"a look for new versions failed: ZeroDivisionError('a\nbug')"
    # However many polls there were.
    assert one_error(caplog).message == problem
    publish(store, base, 2)
    with models.watching(0.01):
        until(lambda: served(models) == 2)
    assert models.problems() == []


@pytest.mark.parametrize("damage", ["text", "directory", "nested braces", "pipe"])
def test_an_unreadable_configuration_is_logged_once_and_the_last_one_holds(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    publish(store, base, 1, 2, 3)
    configure(base, models, "--pin", "linear=2")
    config = base / "models.config"
    config.unlink()
    if damage == "text":
        config.write_text("no proto")
    elif damage == "directory":
        config.mkdir()
    elif damage == "pipe":
        os.mkfifo(config)
    else:
        config.write_text("model_config_list {" * 4000)
    for _ in range(3):
        models.poll()
    assert served(models) == 2
    record = one_error(caplog)
    assert "models.config is not followed until it changes: " in record.message
    words = {"text": "column 1:1 :", "directory": "Is a directory", "pipe": "Not a regular file"}
    assert words.get(damage, "must be a ModelServerConfig") in record.message
    assert [record.message] == models.problems()
