"""Served versions and labels as `models.config` names them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import export_linear
from tfd2l.deploy import command as deploy
from tfd2l.serve.app import answer
from tfd2l.serve.errors import RestError
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 4 of a model that answers the version's number for two zeros."""
    base = tmp_path_factory.mktemp("store")
    for number in (1, 2, 3, 4):
        export_linear(base, number, bias=number)
    return base


@pytest.fixture
def base(store: Path, tmp_path: Path) -> Path:
    """A directory with versions 1 to 3 of it."""
    for number in ("1", "2", "3"):
        shutil.copytree(store / number, tmp_path / "models" / "linear" / number)
    for path in (tmp_path / "models", *tmp_path.glob("models/**/")):
        path.chmod(0o755)
    return tmp_path / "models"


@pytest.fixture
def models(base: Path) -> Iterator[ServedModels]:
    models = ServedModels(base)
    yield models
    models.close()


def configure(base: Path, models: ServedModels, *flags: str) -> None:
    """Call deploy, and read what it wrote."""
    assert deploy.main([str(base), "--force", *flags]) == 0
    models.poll()


def served_by(models: ServedModels, which: str = "") -> float | int:
    """The version that answers, or the status of the error."""
    body = b'{"instances": [[0, 0]]}'
    try:
        text = answer(models, "POST", f"/v1/models/linear{which}:predict", body)
    except RestError as error:
        return error.status
    return float(json.loads(text)["predictions"][0])


def states(models: ServedModels) -> dict[int, str]:
    return {number: status.state for number, status in models.statuses("linear").items()}


def test_a_pinned_version_answers_whatever_is_published_later(
    store: Path, base: Path, models: ServedModels
) -> None:
    configure(base, models, "--pin", "linear=2")
    assert states(models) == {2: "AVAILABLE"}
    shutil.copytree(store / "4", base / "linear" / "4")
    models.poll()
    assert served_by(models) == served_by(models, "/versions/2") == 2
    assert served_by(models, "/versions/4") == 404
    # Back to the highest.
    configure(base, models)
    assert served_by(models) == 4
    assert states(models) == {4: "AVAILABLE", 2: "END"}


def test_labels_name_versions_and_the_highest_answers_without_one(
    base: Path, models: ServedModels
) -> None:
    configure(base, models, "--stable", "linear=1", "--canary", "linear=3")
    assert served_by(models) == served_by(models, "/labels/canary") == 3
    assert served_by(models, "/labels/stable") == served_by(models, "/versions/1") == 1
    assert served_by(models, "/versions/2") == 404
    assert served_by(models, "/labels/other") == 400
    assert models.available() == {"linear": 3}
    target = "/v1/models/linear/labels/stable/metadata"
    assert json.loads(answer(models, "GET", target, b""))["model_spec"]["version"] == "1"
    # A label may move while its version stays.
    configure(base, models, "--pin", "linear=1,3", "--stable", "linear=3")
    assert served_by(models, "/labels/stable") == 3
    assert served_by(models, "/labels/canary") == 400


def test_several_last_versions_are_kept(store: Path, base: Path, models: ServedModels) -> None:
    configure(base, models, "--keep-versions", "2")
    assert states(models) == {3: "AVAILABLE", 2: "AVAILABLE"}
    shutil.copytree(store / "4", base / "linear" / "4")
    models.poll()
    assert states(models) == {4: "AVAILABLE", 3: "AVAILABLE", 2: "END"}
    assert (
        served_by(models),
        served_by(models, "/versions/3"),
        served_by(models, "/versions/2"),
    ) == (4, 3, 404)


def test_the_last_version_answers_until_the_pinned_one_has_loaded(
    base: Path, models: ServedModels
) -> None:
    models.poll()
    (base / "linear/1/saved_model.pb").write_text("broken")
    configure(base, models, "--pin", "linear=1")
    assert served_by(models) == 3
    assert models.failures() == ["linear/1"]
    configure(base, models, "--pin", "linear=2")
    assert served_by(models) == 2


@pytest.mark.parametrize("damage", ["text", "directory"])
def test_an_unreadable_configuration_is_logged_once_and_the_last_one_holds(
    base: Path, models: ServedModels, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    configure(base, models, "--pin", "linear=2")
    config = base / "models.config"
    config.unlink()
    if damage == "text":
        config.write_text("no proto")
    else:
        config.mkdir()
    for _ in range(3):
        models.poll()
    assert served_by(models) == 2
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"{config} is not followed until it changes: " in record.message
    assert ("column 1:" if damage == "text" else "Is a directory") in record.message


def test_a_model_that_the_configuration_lacks_serves_its_highest_version(
    store: Path, base: Path, models: ServedModels
) -> None:
    configure(base, models, "--pin", "linear=2")
    shutil.copytree(store / "1", base / "new" / "1")
    models.poll()
    assert models.available() == {"linear": 2, "new": 1}
