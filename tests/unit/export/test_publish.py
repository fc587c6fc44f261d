"""Publication: numbers, files and permissions of versions; failures; removal of old versions."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.exports import copying, export_with_checks, names
from tests.support.small_models import IMAGES, LABELS, Concise, preprocess
from tfd2l.export import publish as publishing
from tfd2l.export.checksums import check_files
from tfd2l.export.expected import classifier_checks
from tfd2l.export.publish import CARD_FILE, publish_version, published_versions, tidy
from tfd2l.export.signatures import ExportError, export_classifier
from tfd2l.export.verify import Check
from tfd2l.export.warmup import WARMUP_FILE, read_warmup

pytestmark = pytest.mark.usefixtures("warm_load_check")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    return export_with_checks(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def publish_copy(exported: tuple[Path, list[Check]]) -> Callable[..., Path]:
    """A function that publishes that model below a base, with changed arguments."""
    source, checks = exported

    def publish_it(base: Path, **changes: Any) -> Path:
        arguments = {"write": copying(source), "checks": checks, "card": {}, **changes}
        return publish_version(base=base, **arguments)

    return publish_it


@pytest.mark.slow
def test_a_published_classifier_has_all_that_a_server_needs(tmp_path: Path) -> None:
    model = Concise()
    model.logits(preprocess(IMAGES[:1]))
    umask = os.umask(0o077)
    try:
        version = publish_version(
            lambda path: export_classifier(model, path, labels=LABELS, preprocess=preprocess),
            tmp_path / "savedmodels" / "mlp",
            checks=classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess),
            card={"model": "mlp", "metrics": {"acc": np.float32(0.5)}, "run": Path("runs/1")},
        )
    finally:
        os.umask(umask)
    assert version == tmp_path / "savedmodels" / "mlp" / "1"
    files = {str(path.relative_to(version)) for path in version.rglob("*") if path.is_file()}
    assert files == {
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets.extra/tf_serving_warmup_requests",
        "assets.extra/card.json",
        "assets.extra/SHA256SUMS",
    }
    # Everyone can read the directories that were created, whatever the umask.
    for path in (version.parents[1], version.parent, version, *version.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    check_files(version)
    card = json.loads((version / CARD_FILE).read_text())
    assert card["model"] == "mlp"
    assert card["metrics"] == {"acc": 0.5}
    assert card["run"] == "runs/1"
    assert card["packages"]["tensorflow"] == tf.__version__
    assert card["packages"]["keras"] == keras.__version__
    assert card["signatures"]["serving_default"]["inputs"] == {
        "image": {"dtype": "uint8", "shape": [None, 28, 28]}
    }
    warmup = read_warmup(version / WARMUP_FILE)
    assert [(request.method, request.signature) for request in warmup] == [
        ("predict", "serving_default"),
        ("classify", "classify"),
    ]
    np.testing.assert_array_equal(warmup[0].inputs["image"], IMAGES[:1])


@pytest.mark.slow
def test_a_version_gets_the_number_after_the_highest_one(
    tmp_path: Path, publish_copy: Callable[..., Path]
) -> None:
    assert published_versions(tmp_path / "none") == []
    for name in ("2", "007", "x9", "-3", "1_1", "٣", ".12", "9" * 20):
        (tmp_path / name).mkdir()
    # For the server a plain file is a version too, one that fails.
    (tmp_path / "10").write_text("")
    assert published_versions(tmp_path) == [2, 7, 10]
    assert publish_copy(tmp_path) == tmp_path / "11"
    assert publish_copy(tmp_path) == tmp_path / "12"
    assert published_versions(tmp_path) == [2, 7, 10, 11, 12]


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["directory", "file"])
def test_a_number_that_a_rival_takes_at_the_last_moment_is_skipped(
    taken: str,
    tmp_path: Path,
    publish_copy: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = published_versions

    def late(base: Path) -> list[int]:
        found = numbers(base)
        if not found:
            # A rival comes between the look and the rename.
            if taken == "directory":
                (tmp_path / "1" / "variables").mkdir(parents=True)
            else:
                (tmp_path / "1").write_text("")
        return found

    monkeypatch.setattr(publishing, "published_versions", late)
    assert publish_copy(tmp_path) == tmp_path / "2"
    assert names(tmp_path) == ["1", "2"]
    assert not (tmp_path / "1" / "saved_model.pb").exists()


class Interruption(KeyboardInterrupt):
    """As Ctrl-C, without ending pytest."""


def fail(error: BaseException) -> Callable[[Path], None]:
    def write(directory: Path) -> None:
        (directory / "saved_model.pb").write_text("half")
        raise error

    return write


def write_keras_wrongly(directory: Path) -> None:
    net = keras.Sequential([keras.layers.Dense(1)])
    net.build((None, 2))
    spec = tf.TensorSpec((None, 2), tf.float32, name="features")
    function = tf.function(lambda features: {"prediction": net(features)}, input_signature=[spec])
    tf.saved_model.save(net, str(directory), signatures={"serving_default": function})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"write": fail(Interruption())}, Interruption),
        ({"write": fail(OSError(28, "No space left on device"))}, ExportError),
        ({"write": write_keras_wrongly}, ExportError),
        ({"checks": []}, ExportError),
        ({"card": {"loss": float("nan")}}, ExportError),
        ({"card": {"model": object()}}, ExportError),
        ({"timeout_s": 0.001}, ExportError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_failed_publication_leaves_everything_as_it_was(
    changes: dict[str, Any],
    error: type[BaseException],
    tmp_path: Path,
    publish_copy: Callable[..., Path],
    exported: tuple[Path, list[Check]],
) -> None:
    first = shutil.copytree(exported[0], tmp_path / "1")
    content = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    with pytest.raises(error):
        publish_copy(tmp_path, **changes)
    assert names(tmp_path) == ["1"]
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == content


def test_a_base_that_is_a_file_is_refused(
    tmp_path: Path, publish_copy: Callable[..., Path]
) -> None:
    (tmp_path / "file").write_text("")
    for base in (tmp_path / "file", tmp_path / "file" / "mlp"):
        with pytest.raises(ExportError, match=r"must be written below .*Choose a directory"):
            publish_copy(base)


@pytest.mark.slow
def test_hidden_directories_of_killed_publishers_are_removed_and_those_of_others_stay(
    tmp_path: Path, publish_copy: Callable[..., Path]
) -> None:
    killed, running = (tmp_path / f".staging-{name * 8}" for name in "ab")
    for path in (killed, running, tmp_path / ".others", tmp_path / ".staging-mine"):
        path.mkdir()
        (path / "saved_model.pb").write_text("half")
    handle = os.open(running, os.O_RDONLY)
    # A lock belongs to the open file, so it excludes this process' others too.
    fcntl.flock(handle, fcntl.LOCK_EX)
    publish_copy(tmp_path)
    assert names(tmp_path) == [".others", ".staging-bbbbbbbb", ".staging-mine", "1"]
    os.close(handle)
    tidy(tmp_path)
    assert names(tmp_path) == [".others", ".staging-mine", "1"]


def test_without_locks_hidden_directories_are_removed_after_a_day(
    tmp_path: Path, publish_copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_locks = mock.Mock(side_effect=OSError(errno.ENOLCK, "No locks available"))
    monkeypatch.setattr(fcntl, "flock", no_locks)
    for name, age_s in (("a" * 8, 25 * 3600), ("b" * 8, 23 * 3600)):
        (tmp_path / f".staging-{name}").mkdir()
        os.utime(tmp_path / f".staging-{name}", (time.time() - age_s, time.time() - age_s))
    publish_copy(tmp_path)
    assert names(tmp_path) == [".staging-bbbbbbbb", "1"]


@pytest.mark.slow
def test_versions_with_files_of_others_stay_and_are_named(
    tmp_path: Path, publish_copy: Callable[..., Path]
) -> None:
    for _ in range(3):
        publish_copy(tmp_path)
    # Another program published the first one, and somebody keeps notes in the second.
    shutil.rmtree(tmp_path / "1" / "assets.extra")
    (tmp_path / "2" / "notes.txt").touch()
    with pytest.warns(UserWarning, match="stays, though only 1 .*write") as warned:
        publish_copy(tmp_path, keep=1)
    assert names(tmp_path) == ["1", "2", "4"]
    assert [str(warning.message).split()[0] for warning in warned] == [
        str(tmp_path / "1"), str(tmp_path / "2"),
    ]  # fmt: skip
    assert "'notes.txt'" in str(warned[1].message)


@pytest.mark.slow
def test_only_the_last_versions_are_kept(tmp_path: Path, publish_copy: Callable[..., Path]) -> None:
    for _ in range(3):
        publish_copy(tmp_path)
    # Not the publisher's to remove.
    (tmp_path / "0").mkdir()
    (tmp_path / "00").write_text("")
    (tmp_path / "notes").mkdir()
    publish_copy(tmp_path, keep=2)
    assert names(tmp_path) == ["0", "00", "3", "4", "notes"]
    publish_copy(tmp_path, keep=1)
    assert names(tmp_path) == ["0", "00", "5", "notes"]
    with pytest.raises(
        ValueError, match=r"keep must be a whole number of at least 1; got 0\. None keeps all"
    ):
        publish_copy(tmp_path, keep=0)
