"""The command as a user runs it, on real files, with a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.support import ROOT
from tests.support.raw_models import save_colours
from tests.support.rest_server import LABELS, RestServer, Softmax, as_json
from tfd2l.predict.command import main


class Ran(NamedTuple):
    """The exit status and the texts of a run in this process."""

    returncode: int
    stdout: str
    stderr: str


def noise(seed: int) -> np.ndarray[Any, Any]:
    image = np.random.default_rng(seed).integers(0, 256, (28, 28)).astype(np.uint8)
    # The ground is looked for in the corners.
    corners = np.r_[:3, -3:0]
    image[np.ix_(corners, corners)] = 0
    return image


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Names of three images, a text and a missing file, in this directory."""
    Image.fromarray(noise(0)).save(tmp_path / "ready.png")
    large = Image.fromarray(255 - noise(1)).resize((280, 280), Image.Resampling.NEAREST)
    large.save(tmp_path / "light.gif")
    Image.fromarray(noise(2)).save(tmp_path / "$x^\n{.png")
    (tmp_path / "text.png").write_text("no image")
    return ["ready.png", "text.png", "light.gif", "absent.png", "$x^\n{.png"]


def run(
    cwd: Path, *flags: str, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tfd2l.predict", *flags],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=stdin,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture
def command(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:  # fmt: skip
    """A function that runs the command with these flags in the files' directory."""
    monkeypatch.chdir(tmp_path)

    def run_here(*flags: str) -> Ran:
        capfd.readouterr()
        return Ran(main([*flags]), *capfd.readouterr())

    return run_here


def expected(server: RestServer, seed: int) -> list[tuple[str, float]]:
    """Labels and probabilities, the likeliest first."""
    [row] = server.model(noise(seed)[None])["probabilities"]
    return [(LABELS[index], float(row[index])) for index in np.argsort(-row)]


def test_good_files_are_answered_and_bad_ones_reported(
    server: RestServer, files: list[str], tmp_path: Path
) -> None:
    ran = run(tmp_path, *files, "--url", server.url)
    assert ran.returncode == 2
    notes = [
        "taken as it is",
        "280 x 280 P made grey; inverted: the garment was darker than the ground; "
        "resized to 28 x 28",
        "taken as it is",
    ]
    lines = []
    for seed, name in enumerate(["ready.png", "light.gif", "$x^ {.png"]):
        first, *others = [f"{label} {score:.3f}" for label, score in expected(server, seed)[:3]]
        lines += [f"{name}: {first}", f"  then   {', '.join(others)}", f"  image  {notes[seed]}"]
    assert ran.stdout.decode().splitlines() == lines
    assert ran.stderr.decode().splitlines() == [
        f"note: nothing says how model 'mlp' at {server.url} takes photographs; garments are "
        "cropped and inverted, as its images are grey, 28 x 28. --framing none resizes alone.",
        "error: text.png: an image must be a PNG, JPEG, GIF, BMP or WebP file; this is a text. "
        "Save it as PNG or JPEG.",
        "error: absent.png: the file can't be read: No such file or directory. Check its name.",
    ]
    assert server.requests == [
        ("GET", "/v1/models/mlp/metadata"),
        ("POST", "/v1/models/mlp:classify"),
    ]


def test_json_has_an_entry_for_every_file_in_order(
    server: RestServer, files: list[str], command: Callable[..., Ran]
) -> None:
    ran = command(*files, "--url", server.url, "--model-version", "3", "--json")
    assert ran.returncode == 2
    found = json.loads(ran.stdout)
    assert found["model"] == f"model 'mlp', version 3, at {server.url}"
    assert [one["file"] for one in found["images"]] == files
    assert [("error" in one) for one in found["images"]] == [False, True, False, True, False]
    first = found["images"][0]
    assert list(zip(first["classes"], first["scores"], strict=True)) == [
        (label, pytest.approx(score, rel=1e-6)) for label, score in expected(server, 0)
    ]
    assert first["label"] == first["classes"][0]
    assert first["probability"] == first["scores"][0]
    assert first["notes"] == []
    assert found["images"][1] == {"file": "text.png", "error": mock.ANY}
    assert found["images"][2]["notes"][-1] == "resized to 28 x 28"


def test_an_image_without_a_garment_has_no_confident_headline(
    server: RestServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wall.png"
    Image.new("L", (300, 200), 180).save(path)
    assert main([str(path), "--url", server.url]) == 0
    first, then, image = capsys.readouterr().out.splitlines()
    assert first == f"{path}: no garment found"
    assert then == "  then   nothing else"
    assert image.startswith("  image  no garment found: nothing stands out")
    assert main([str(path), "--url", server.url, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["images"]
    assert found["label"] is None
    assert found["probability"] is None
    # The model's answer is there for those who want it all the same.
    assert {*found["classes"]} == {*LABELS}


@pytest.mark.slow
def test_standard_input_is_read(server: RestServer, files: list[str], tmp_path: Path) -> None:
    ran = run(tmp_path, "-", "--url", server.url, stdin=(tmp_path / files[0]).read_bytes())
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.decode().startswith(f"-: {expected(server, 0)[0][0]} ")
    assert run(tmp_path, "-", "--url", server.url, stdin=b"").returncode == 2


def test_images_are_read_at_the_size_that_the_model_takes(
    server: RestServer, files: list[str], command: Callable[..., Ran]
) -> None:
    server.model = Softmax(14, 20)
    ran = command(files[0], "--url", server.url)
    assert ran.returncode == 0
    assert "resized to 14 x 20" in ran.stdout


def test_a_letter_that_the_terminal_lacks_is_escaped(
    server: RestServer, files: list[str], tmp_path: Path
) -> None:
    ran = run(tmp_path, files[0], "--url", server.url, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert "púllover" in dict(expected(server, 0)[:3])
    assert rb"p\xfallover" in ran.stdout


@pytest.mark.slow
def test_the_picture_shows_what_the_model_saw(
    server: RestServer, files: list[str], command: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = command(*files, "--url", server.url, "--framing", "garment", "--picture", "out.png")
    assert ran.returncode == 2
    assert [line[:7] for line in ran.stderr.splitlines()] == ["error: "] * 2
    with Image.open(tmp_path / "out.png") as picture:
        # Three pairs of 4.6 x 2.2 inches at 120 points an inch.
        assert picture.size == (1656, 264)
    # No temporary file is left.
    assert len([*tmp_path.glob("*out.png*")]) == 1


@pytest.mark.long
def test_a_picture_does_not_overwrite_an_image(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / files[0])
    before = (tmp_path / files[0]).read_bytes()
    for picture in (tmp_path / files[0], tmp_path / "link.png"):
        assert main([str(tmp_path / files[0]), "--picture", str(picture)]) == 2
        assert "--picture must not overwrite an image; got" in capsys.readouterr().err
    assert (tmp_path / files[0]).read_bytes() == before


@pytest.mark.slow
def test_a_picture_of_very_many_shows_the_first(
    server: RestServer, files: list[str], command: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tfd2l.predict.image_files.MAX_DRAWN", 3)
    ran = command(*[files[0]] * 5, "--url", server.url, "--picture", "out.svg")
    assert ran.returncode == 0
    assert ran.stderr == "out.svg shows the first 3 of 5 images\n"
    assert ran.stdout.count("ready.png: ") == 5


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "error: the following arguments are required: FILE (--help lists the flags)"),
        (["a.png", "--dir", "x", "--url", "y"], "error: --url is for a server; drop it or the"),
        (["a.png", "--model", "./x", "--model-version", "3"], "error: --model-version is for a"),
        # Anything with a slash is a directory; a plain name is one if it exists.
        (["a.png", "--model", "x/mlp"], "error: a model's directory has versions named 1, 2, ..."),
        (["a.png", "--model", "plain"], "error: a model's directory has versions named 1, 2, ..."),
        (["a.png", "--dir", "absent"], "error: a model's directory has versions named 1, 2, ..."),
        (
            ["a.png", "--picture", "a.doc"],
            "error: --picture must be in an existing directory and end with one of .png, .svg",
        ),
        (["a.png", "--picture", "/nodir/x.png"], "error: --picture must be in an existing dir"),
        (["a.png", "--url", "nowhere"], "error: url must be a server's address"),
        (
            ["a.png", "--timeout-s", "0"],
            "error: --timeout-s must be seconds from 0.01 to 3600; got '0'",
        ),
        (
            ["a.png", "--model-version", "x"],
            "error: --model-version must be a whole number from 0 to 9",
        ),
    ],
)
def test_wrong_flags_are_reported_in_a_line(
    flags: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").mkdir()
    assert main(flags) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("flags", [["--model", "\udcff"], ["--url", f"http://{'a' * 70}.x"]])
def test_strange_names_are_reported_in_a_line(
    server: RestServer, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["a.png", *(flags if "--url" in flags else ["--url", server.url, *flags])]) == 2
    said = capfd.readouterr()
    assert said.err.startswith("error: ")
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_after_a_server_error_the_command_ends_with_one_line(
    server: RestServer, files: list[str], command: Callable[..., Ran]
) -> None:
    server.canned += [as_json(server._metadata()), as_json({"error": "no\nroom"}, 500)]
    ran = command(files[0], "--url", server.url)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: model 'mlp' at http://127.0.0.1:")
    assert "answered 500: no room." in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_loses_no_answer(
    server: RestServer, files: list[str], command: Callable[..., Ran]
) -> None:
    # The name is too long, which only writing the file shows.
    ran = command(files[0], "--url", server.url, "--picture", f"{'x' * 251}.png")
    assert ran.returncode == 2
    assert ran.stdout.startswith("ready.png: ")
    assert ran.stderr.startswith("error: [Errno 36] File name too long: ")
    assert ran.stderr.count("\n") == 1


def test_with_a_url_a_model_is_a_name_also_where_a_directory_has_it(
    server: RestServer, files: list[str], command: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "mlp").mkdir()
    ran = command(files[0], "--url", server.url, "--model", "mlp")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ("POST", "/v1/models/mlp:classify") in server.requests


def test_after_ctrl_c_the_command_ends_with_one_line(
    server: RestServer, files: list[str], tmp_path: Path, interruptible: None
) -> None:
    server.canned.append("hang")
    process = subprocess.Popen(
        [sys.executable, "-m", "tfd2l.predict", files[0], "--url", server.url],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not server.requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


@pytest.mark.slow
def test_with_a_server_tensorflow_is_not_imported(
    server: RestServer, files: list[str], tmp_path: Path
) -> None:
    program = (
        "import sys; from tfd2l.predict.command import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "print({'tensorflow', 'keras', 'grpc'} & {*sys.modules})"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / files[0]), "--url", server.url]
    argv += ["--picture", str(tmp_path / "out.png")]
    process = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    assert process.stderr == ""
    assert process.stdout.splitlines()[-1] == "set()"


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; from tfd2l.predict.command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: print(end.code)\n"
        "print({'tensorflow', 'numpy', 'PIL', 'requests', 'matplotlib'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert process.stdout.splitlines()[-2:] == ["0", "set()"]
    for flag in ("--url", "--model", "--dir", "--picture", "--json", "--timeout-s"):
        assert flag in process.stdout


@pytest.mark.slow
def test_an_exported_model_answers_without_a_server(
    files: list[str], command: Callable[..., Ran], tmp_path: Path
) -> None:
    import tensorflow as tf

    from tests.support.small_models import LABELS as NAMES
    from tests.support.small_models import Scratch, preprocess
    from tfd2l.export.signatures import export_classifier

    model = Scratch()
    export_classifier(model, tmp_path / "models/1", labels=NAMES, preprocess=preprocess)
    ran = run(tmp_path, files[0], "text.png", "--model", "models", "--json")
    assert ran.returncode == 2
    # None of TensorFlow's start-up messages, but for the command's own error.
    assert ran.stderr.decode().startswith("error: text.png: an image must be")
    assert ran.stderr.count(b"\n") == 1
    found = json.loads(ran.stdout)
    assert found["model"] == "the model in models/1"
    [row] = tf.nn.softmax(model.logits(preprocess(noise(0)[None]))).numpy()
    order = np.argsort(-row)
    assert found["images"][0]["classes"] == [NAMES[index] for index in order]
    # The order of summation differs.
    np.testing.assert_allclose(found["images"][0]["scores"], row[order], atol=1e-4)
    again = command(files[0], "--dir", "models/1", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["images"] == found["images"][:1]
    (tmp_path / "models/1/saved_model.pb").write_bytes(b"damaged")
    damaged = command(files[0], "--dir", "models")
    assert (damaged.returncode, damaged.stdout) == (2, "")
    assert damaged.stderr.startswith("error: the model in models/1 can't be loaded")
    assert damaged.stderr.count("\n") == 1


def colours(path: Path, side: int = 40) -> Path:
    """A red stripe on white: framed as a garment it would be cropped."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[:, :10] = (255, 0, 0)
    Image.fromarray(pixels).save(path)
    return path


def test_the_models_card_says_how_images_are_framed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, model = str(colours(tmp_path / "stripe.png")), tmp_path / "model"
    save_colours(model, (28, 28), model="own")
    for framing, flags, note in (
        ("none", [], "40 x 40 resized to 28 x 28; made grey"),
        ("garment", [], "the ground's greys, 76 to 255, made 0"),
        ("garment", ["--framing", "none"], "40 x 40 resized to 28 x 28; made grey"),
        ("none", ["--framing", "garment"], "the ground's greys, 76 to 255, made 0"),
    ):
        card = {"input": {"kind": "image", "framing": framing}}
        (model / "assets.extra/card.json").write_text(json.dumps(card))
        assert main([path, "--model", str(model), *flags]) == 0
        said = capsys.readouterr()
        assert note in said.out.splitlines()[2]
        assert said.err == ""


def test_a_model_of_any_size_and_colour_answers_without_framing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_colours(tmp_path / "model", input={"kind": "image", "framing": "none"})
    path, blank = str(colours(tmp_path / "stripe.png")), tmp_path / "blank.webp"
    Image.new("RGB", (60, 40), "blue").save(blank)
    flags = ["--model", str(model), "--json", "--picture", str(tmp_path / "out.png")]
    assert main([path, str(blank), *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["framing"] == "none"
    first, second = found["images"]
    assert first["classes"][0] == first["label"] == "red"
    # A plain image has an answer like any other.
    assert second["label"] == "blue"
    assert second["notes"] == ["60 x 40 resized to 4 x 6"]
    # A quarter of the pixels lacks green and blue, so that their means are 3/4.
    powers = np.exp([1, 0.75, 0.75])
    np.testing.assert_allclose(first["scores"], powers / powers.sum(), atol=0.01)
    with Image.open(tmp_path / "out.png") as drawn:
        assert drawn.width > 100


def test_flags_that_the_models_images_do_not_allow_are_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_colours(tmp_path / "model", input={"kind": "image", "framing": "none"})
    four = save_colours(tmp_path / "four", (4, 6, 4))
    for directory, flags, words in (
        (model, ["--framing", "garment"], "--framing garment makes grey images, but the model in "),
        (model, ["--output", str(tmp_path / "a.csv")], "--output is for a table, but the model "),
        (four, [], "images have 1 or 3 channels; the model in "),
    ):
        assert main(["absent.png", "--model", str(directory), *flags]) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"error: {words}")
        assert said.err.count("\n") == 1


def test_one_channel_may_be_an_axis_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_colours(tmp_path / "model", (4, 6, 1))
    assert main([str(colours(tmp_path / "stripe.png")), "--model", str(model)]) == 0
    assert "40 x 40 resized to 4 x 6; made grey" in capsys.readouterr().out
