"""The source distribution and the wheel: their files and metadata, and equal bytes each time."""

from __future__ import annotations

import io
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from types import ModuleType

import pytest

import tfd2l
from tests.support import ROOT, ci_module, run_python

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def package() -> ModuleType:
    return ci_module("package")


@pytest.mark.long  # CI does the same in .ci/package_trial
def test_both_distributions_have_the_files_of_the_repository(tmp_path: Path) -> None:
    # The program compares the files with those in version control.
    folder = tmp_path / "a döst"
    built = run_python(ROOT / ".ci/package.py", folder)
    assert built.returncode == 0, built.stderr
    source, wheel = sorted(folder.iterdir(), key=lambda path: path.suffix)
    stem = f"tfd2l-{tfd2l.__version__}"
    assert (source.name, wheel.name) == (f"{stem}.tar.gz", f"{stem}-py3-none-any.whl")
    with tarfile.open(source) as archive:
        names = set(archive.getnames())
        assert {entry.mtime for entry in archive.getmembers()} == {315532800}
    assert {f"{stem}/{name}" for name in ("tests/conftest.py", ".ci/run", "docs/run.png")} <= names
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(f"{stem}.dist-info/METADATA").decode()
    data_files = {"tfd2l/py.typed", "tfd2l/__init__.pyi", "tfd2l/serve/page_files/index.html"}
    assert data_files <= names
    assert {name.partition("/")[0] for name in names} == {
        "tfd2l", "pipelines", f"{stem}.dist-info",
    }  # fmt: skip
    about = HeaderParser().parsestr(metadata)
    assert (about["Version"], about["License-Expression"]) == (tfd2l.__version__, "MIT")
    assert set(about.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    assert str(ROOT) not in metadata

    again = run_python(ROOT / ".ci/package.py", folder)
    assert again.returncode == 1
    assert again.stderr == f"package: {folder} is not empty; remove it, or name another\n"


def test_the_same_files_make_the_same_bytes_whoever_packs_them_when(
    package: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")

    def packed(name: str, mtime: int, user: str, modes: tuple[int, int], order: int) -> bytes:
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for path, mode in list(zip(("p/run", "p/text"), modes, strict=True))[::order]:
                entry = tarfile.TarInfo(path)
                entry.size, entry.mtime, entry.uname, entry.mode = 3, mtime, user, mode
                archive.addfile(entry, io.BytesIO(b"abc"))
        package.normalize(tmp_path / name)
        return (tmp_path / name).read_bytes()

    one = packed("one.tar.gz", 5, "ada", (0o755, 0o644), 1)
    assert packed("two.tar.gz", 6, "bob", (0o700, 0o600), -1) == one
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        listing = [(e.name, e.mode, e.mtime, e.uid, e.uname) for e in archive.getmembers()]
    assert listing == [
        ("p/run", 0o755, 1000000000, 0, ""),
        ("p/text", 0o644, 1000000000, 0, ""),
    ]


def test_a_distribution_with_other_files_is_refused(package: ModuleType) -> None:
    # A file that is not yet in version control may be there or not.
    package.compare(Path("x.whl"), {"a"}, {"a"}, {"new", "notes"})
    package.compare(Path("x.whl"), {"a", "new"}, {"a"}, {"new", "notes"})
    with pytest.raises(SystemExit, match=r"x\.whl lacks \['page.html'\], and should not have \[\]"):
        package.compare(Path("x.whl"), {"a"}, {"a", "page.html"}, {"new"})
    with pytest.raises(SystemExit, match=r"x\.whl lacks \[\], and should not have \['leftover'\]"):
        package.compare(Path("x.whl"), {"a", "leftover"}, {"a"}, {"new"})
