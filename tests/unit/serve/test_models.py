"""The served models: versions come and go while requests run."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.support.served import export_clothes, export_linear, until
from tfd2l.export.loaded import LoadedVersion
from tfd2l.serve import models as served_models
from tfd2l.serve.errors import RestError
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 3 of a model that answers the version's number for two zeros."""
    base = tmp_path_factory.mktemp("store")
    for number in (1, 2, 3):
        export_linear(base, number, bias=number)
    return base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "linear").mkdir()
    return tmp_path


@pytest.fixture
def models(base: Path) -> Iterator[ServedModels]:
    models = ServedModels(base)
    yield models
    models.close()


def publish(store: Path, base: Path, number: int, name: str = "linear") -> Path:
    """Copy a version aside, then rename it into place."""
    (base / name).mkdir(exist_ok=True)
    staging = base / name / ".staging-x"
    shutil.copytree(store / str(number), staging)
    return staging.rename(base / name / str(number))


def answer(version: LoadedVersion) -> float:
    zeros = np.zeros((1, 2), np.float32)
    found = version.call("predict", "serving_default", {"features": zeros})
    return float(found["prediction"][0])


def served(models: ServedModels, number: int | None = None) -> float:
    with models.version("linear", number) as version:
        return answer(version)


def states(models: ServedModels, name: str = "linear") -> dict[int, str]:
    return {number: status.state for number, status in models.statuses(name).items()}


def test_the_highest_version_is_served_by_name_and_by_number(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    publish(store, base, 2)
    assert models.available() == {}
    models.poll()
    assert models.available() == {"linear": 2}
    assert served(models) == served(models, 2) == 2
    assert states(models) == {2: "AVAILABLE"}
    for name, number, named in [
        ("linear", 1, "Specific(linear, 1)"),
        ("linear", 3, "Specific(linear, 3)"),
        ("none", None, "Latest(none)"),
    ]:
        with pytest.raises(RestError) as caught, models.version(name, number):
            pass
        assert caught.value.status == 404
        assert str(caught.value) == f"Servable not found for request: {named}"


def test_a_new_version_replaces_the_last_one_and_new_models_appear(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    models.poll()
    (base / "linear" / ".staging-y").mkdir()
    models.poll()
    assert served(models) == 1
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
    models.poll()
    with models.version("linear") as last, models.version("linear") as again:
        assert again is last
        publish(store, base, 2)
        models.poll()
        assert served(models) == 2
        assert states(models) == {2: "AVAILABLE", 1: "UNLOADING"}
        with pytest.raises(RestError), models.version("linear", 1):
            pass
        # It is still in memory.
        assert answer(last) == 1
    assert states(models) == {2: "AVAILABLE", 1: "END"}


@pytest.mark.parametrize("kind", ["plain file", "empty directory", "half a copy"])
def test_a_version_that_fails_is_logged_once_and_the_last_one_still_answers(
    store: Path,
    base: Path,
    models: ServedModels,
    caplog: pytest.LogCaptureFixture,
    kind: str,
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
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "version 2 of linear can't be served, and won't be tried again" in record.message
    assert record.exc_info is None
    # A repair is not noticed, the next number is.
    if bad.is_file():
        bad.unlink()
    shutil.copytree(store / "2", bad, dirs_exist_ok=True)
    models.poll()
    assert served(models) == 1
    assert states(models) == {2: "END", 1: "AVAILABLE"}
    assert models.statuses("linear")[2].error
    publish(store, base, 3)
    models.poll()
    assert served(models) == 3


def test_a_strange_error_while_loading_stops_neither_watching_nor_other_models(
    store: Path,
    base: Path,
    models: ServedModels,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(store, base, 1)
    publish(store, base, 1, name="strange")
    real = LoadedVersion

    def load(library: object, directory: Path, name: str, number: int) -> LoadedVersion:
        if name == "strange":
            raise AttributeError
        return real(library, directory, name, number)  # type: ignore[arg-type]

    monkeypatch.setattr(served_models, "LoadedVersion", load)
    models.poll()
    models.poll()
    assert models.available() == {"linear": 1}
    assert models.failures() == ["strange/1"]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None


def test_a_removed_version_or_model_is_unloaded(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    publish(store, base, 2)
    models.poll()
    shutil.rmtree(base / "linear/2")
    models.poll()
    assert served(models) == 1
    assert states(models) == {2: "END", 1: "AVAILABLE"}
    publish(store, base, 2)
    models.poll()
    assert served(models) == 2
    shutil.rmtree(base / "linear/2")
    shutil.rmtree(base / "linear/1")
    models.poll()
    assert models.available() == {}
    assert states(models) == {2: "END", 1: "END"}


def test_a_version_may_come_back_while_a_request_still_uses_it(
    store: Path, base: Path, models: ServedModels
) -> None:
    path = publish(store, base, 1)
    models.poll()
    with models.version("linear") as old:
        hidden = path.rename(base / "hidden")
        models.poll()
        assert states(models) == {1: "UNLOADING"}
        hidden.rename(path)
        models.poll()
        assert answer(old) == 1
    assert states(models) == {1: "AVAILABLE"}
    assert served(models) == 1


def test_a_missing_directory_is_logged_once_and_the_loaded_models_still_answer(
    store: Path, base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, base, 1)
    models.poll()
    hidden = base.with_name("hidden")
    base.rename(hidden)
    models.poll()
    models.poll()
    hidden.rename(base)
    assert served(models) == 1
    assert len([record for record in caplog.records if "can't be read" in record.message]) == 1
    shutil.rmtree(base / "linear")
    models.poll()
    assert served(models) == 1


def test_requests_never_fail_while_versions_change(
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


def test_watching_ends_with_its_context(store: Path, base: Path, models: ServedModels) -> None:
    with models.watching(0.01):
        publish(store, base, 1)
        until(lambda: models.available() == {"linear": 1})
    assert "watch-models" not in [thread.name for thread in threading.enumerate()]
    publish(store, base, 2)
    assert models.available() == {"linear": 1}


def test_closing_unloads_all_models_but_those_in_use(
    store: Path, base: Path, models: ServedModels
) -> None:
    publish(store, base, 1)
    (base / "clothes").mkdir()
    export_clothes(base / "clothes")
    models.poll()
    with models.version("linear") as version:
        models.close()
        assert models.available() == {}
        assert answer(version) == 1
        assert states(models) == {1: "UNLOADING"}
        assert states(models, "clothes") == {1: "END"}
    assert states(models) == {1: "END"}
    models.close()
