"""Published versions with damaged files: neither served nor loaded, and refused by the check."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import tensorflow as tf
from PIL import Image

from tests.support.damages import DAMAGES, Damage, flipped, one_line
from tests.support.served import running
from tests.support.warm import run_warm
from tfd2l.export.checksums import CHECKSUMS_FILE
from tfd2l.export.expected import classifier_checks
from tfd2l.export.publish import CARD_FILE, publish_version
from tfd2l.export.saved_model import ExportError
from tfd2l.export.signatures import export_classifier
from tfd2l.export.verify import Check, verify
from tfd2l.export.warmup import WARMUP_FILE
from tfd2l.predict import command as predict
from tfd2l.serve.models import ServedModels

pytestmark = pytest.mark.usefixtures("warm_load_check")

LABELS = ["boot", "bag", "coat"]
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 28, 28)).astype(np.uint8)
MEMBERS = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    str(WARMUP_FILE),
    str(CARD_FILE),
    str(CHECKSUMS_FILE),
]


class Softmax(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Softmax regression whose bias says which version it is."""

    def __init__(self, bias: float) -> None:
        self.W = tf.Variable(tf.random.normal((784, 3), stddev=0.1), name="W")
        self.b = tf.Variable([0.0, 0.0, bias], name="b")

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return tf.reshape(X, (-1, 784)) @ self.W + self.b


def preprocess(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32)[..., None] / 255.0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    """A model with the versions 1 and 2, and the checks of the second."""
    base, checks = tmp_path_factory.mktemp("models") / "clothes", list[Check]()
    for bias in (0.0, 100.0):
        model = Softmax(bias)
        checks = classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess)
        publish_version(
            lambda path, model=model: export_classifier(  # type: ignore[misc]
                model, path, labels=LABELS, preprocess=preprocess
            ),
            base,
            checks=checks,
            card={"model": "clothes"},
        )
    return base, checks


@pytest.fixture
def models(published: tuple[Path, list[Check]], tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(published[0], tmp_path / "models/clothes")
    return tmp_path / "models"


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An image file."""
    Image.fromarray(IMAGES[0]).save(tmp_path / "image.png")
    return str(tmp_path / "image.png")


def damages_of(member: str) -> dict[str, Damage]:
    """Return all damages but a missing list of checksums, which is allowed."""
    return {**DAMAGES, "missing": Path.unlink} if member != str(CHECKSUMS_FILE) else DAMAGES


@pytest.mark.parametrize("member", MEMBERS)
def test_a_version_with_a_damaged_file_is_not_served_and_the_last_one_stays(
    models: Path, member: str
) -> None:
    served, good = ServedModels(models), models / "hidden"
    (models / "clothes/2").rename(good)
    served.poll()
    for number, (name, damage) in enumerate(damages_of(member).items(), 2):
        version = models / "clothes" / str(number)
        shutil.copytree(good, version)
        damage(version / member)
        served.poll()
        assert served.available() == {"clothes": 1}, name
        assert str(version) in served.statuses("clothes")[number].error, name
    # A good one is served.
    good.rename(models / "clothes/99")
    served.poll()
    assert served.available() == {"clothes": 99}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_damaged_export_is_refused_by_predict_and_by_the_load_check(
    models: Path,
    member: str,
    image: str,
    published: tuple[Path, list[Check]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, (name, damage) in enumerate(damages_of(member).items(), 3):
        version = models / "clothes" / str(number)
        shutil.copytree(models / "clothes/2", version)
        damage(version / member)
        with pytest.raises(ExportError, match=str(version)):
            verify(version, published[1])
        assert predict.main([image, "--dir", str(version)]) == 2, name
        assert str(version) in one_line(capsys)
        shutil.rmtree(version)
    assert predict.main([image, "--dir", str(models / "clothes")]) == 0
    assert "coat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("constant", "words"),
    [
        (b"coat", "must answer with the label of class_id|must answer with classes"),
        # 255 as float32, which the pixels are divided by.
        (np.float32(255).tobytes(), "must answer as the model does"),
    ],
    ids=["label", "divisor"],
)
def test_the_load_check_notices_changed_constants_even_without_checksums(
    models: Path, published: tuple[Path, list[Check]], constant: bytes, words: str
) -> None:
    version = models / "clothes/2"
    (version / CHECKSUMS_FILE).unlink()
    path = version / "saved_model.pb"
    before = path.read_bytes()
    changed = bytearray(constant)
    changed[-2] ^= 2
    path.write_bytes(before.replace(constant, bytes(changed)))
    assert path.read_bytes() != before
    with pytest.raises(ExportError, match=words):
        verify(version, published[1])


@pytest.mark.slow
def test_a_running_server_keeps_the_last_version_and_a_starting_one_ends(
    models: Path, tmp_path: Path
) -> None:
    (models / "clothes/2").rename(models / "next")
    flipped(0.5)(models / "next/saved_model.pb")
    command = ["-m", "tfd2l.serve", str(models), "--port", "0", "--poll-seconds", "0.1"]
    with running(command, tmp_path / "log", warm=True) as server:
        (models / "next").rename(models / "clothes/2")
        end_s, states = time.monotonic() + 60, dict[str, str]()
        while states.get("2") != "END" and time.monotonic() < end_s:
            found = requests.get(f"{server.url}/v1/models/clothes", timeout=10).json()
            states = {one["version"]: one["state"] for one in found["model_version_status"]}
            time.sleep(0.02)
        assert states == {"2": "END", "1": "AVAILABLE"}
        body = {"instances": IMAGES[:1].tolist()}
        asked = requests.post(f"{server.url}/v1/models/clothes:predict", json=body, timeout=10)
        assert asked.status_code == 200
    assert "clothes/2/saved_model.pb must have SHA-256" in server.log
    ran = run_warm(*command)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "clothes/2" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("tool", [["sha256sum", "--check", "--strict", "--quiet"]])
def test_the_checksums_are_those_of_sha256sum(models: Path, tool: list[str]) -> None:
    version = models / "clothes/2"
    command = [*tool, str(CHECKSUMS_FILE)]
    assert subprocess.run(command, cwd=version, check=False).returncode == 0
    card = version / CARD_FILE
    card.write_text(json.dumps({**json.loads(card.read_text()), "model": "other"}))
    ran = subprocess.run(command, cwd=version, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"{CARD_FILE}: FAILED" in ran.stdout
