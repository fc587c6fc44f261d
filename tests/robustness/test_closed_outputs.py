"""The four commands with a reader that has gone, as in `| head`, or with no standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from tests.support.deployments import add_models
from tests.support.rest_server import RestServer
from tfd2l.deploy import command as deploy
from tfd2l.predict import command as predict
from tfd2l.serve import command as serve
from tfd2l.train import command as train

KINDS = pytest.mark.parametrize("kind", ["| true", ">&-"])


@contextlib.contextmanager
def gone(kind: str) -> Iterator[None]:
    """Standard output inside: a pipe without a reader, or nothing."""
    with contextlib.ExitStack() as stack:
        file = None
        if kind == "| true":
            reader, writer = os.pipe()
            os.close(reader)
            file = stack.enter_context(os.fdopen(writer, "w"))
        # None is Python's form of a descriptor that was closed before it started.
        stack.enter_context(mock.patch.object(sys, "stdout", file))
        yield


@KINDS
def test_deploy_writes_its_files_and_ends_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    # More lines than a file's buffer holds.
    models = add_models(tmp_path / "models", {f"model{number:03}": [1] for number in range(400)})
    with gone(kind):
        assert deploy.main([str(models)]) == 0
        assert (models / "compose.yaml").exists()
        # A file that differs is an error all the same, after lines of the difference.
        (models / "compose.yaml").write_text("mine")
        assert deploy.main([str(models)]) == 2
    assert capfd.readouterr().err.startswith("error: a file that differs")


@KINDS
@pytest.mark.parametrize("flags", [["--json"], ["--framing", "none"]])
def test_predict_ends_quietly_and_still_reports_errors(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, flags: list[str]
) -> None:
    Image.new("L", (28, 28), 3).save(tmp_path / "image.png")
    images = [str(tmp_path / "image.png")] * 100
    with RestServer() as server, gone(kind):
        assert predict.main([*images, "--url", server.url, *flags]) == 0
        assert predict.main([*images, "absent.png", "--url", server.url, *flags]) == 2
    # Where nothing says so, a note about framing comes first.
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: absent.png: ")


@pytest.mark.parametrize("main", [deploy.main, predict.main, serve.main, train.main])
def test_help_ends_quietly(
    capfd: pytest.CaptureFixture[str], main: Callable[[list[str]], int]
) -> None:
    with gone("| true"), pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert capfd.readouterr().err == ""
