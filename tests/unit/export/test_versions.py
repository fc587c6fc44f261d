"""Models and versions on disk, by TensorFlow Serving's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfd2l.export.versions import models_in, versions_in


def test_everything_named_like_an_integer_is_a_version(tmp_path: Path) -> None:
    for name in ("1", "20", "007", ".staging-3", "v4", "5a", "-6", str(2**63 - 1), str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a plain file")
    assert versions_in(tmp_path) == {
        number: tmp_path / name
        for number, name in [
            (1, "1"),
            (7, "007"),
            (9, "9"),
            (20, "20"),
            (2**63 - 1, str(2**63 - 1)),
        ]
    }


def test_models_are_the_directories_below(tmp_path: Path) -> None:
    for path in ("mlp/1", "mlp/2", "empty", ".hidden/1"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "README.md").write_text("no model")
    assert models_in(tmp_path) == {
        "empty": {},
        "mlp": {1: tmp_path / "mlp/1", 2: tmp_path / "mlp/2"},
    }


def test_a_directory_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        models_in(tmp_path / "none")
