"""Build the source distribution and the wheel, the same bytes at each call, and check their files.

    .venv/bin/python .ci/package.py DIRECTORY

The locked setuptools builds both, without the network: the source distribution from this clone,
and the wheel from that. Whatever SOURCE_DATE_EPOCH says is the time of their files.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# 1 January 1980, the first day that a ZIP file can name.
EPOCH = "315532800"
UV = (
    *(sys.executable, "-m", "uv", "build", "--quiet"),
    *("--no-build-isolation", "--no-create-gitignore", "--python", sys.executable),
)
# What setuptools adds to the files of the repository.
MADE = re.compile(r"PKG-INFO$|setup\.cfg$|tfd2l\.egg-info/|tfd2l-[^/]*\.dist-info/")


def main(folder: Path) -> None:
    """Build into an empty folder; a SystemExit says what is wrong with the files."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"package: {folder} is not empty; remove it, or name another")
    os.umask(0o022)
    os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    build("--sdist", ROOT, folder)
    [source] = folder.glob("*.tar.gz")
    normalize(source)
    build("--wheel", source, folder)
    [wheel] = folder.glob("*.whl")
    try:
        tracked, new = git_files("--cached"), git_files("--others", "--exclude-standard")
    except (OSError, subprocess.CalledProcessError):
        print("package: the files were not compared with version control, which git can't list")
    else:
        compare(
            source, {name for name in sdist_files(source) if not MADE.match(name)}, tracked, new
        )
        library = {name for name in tracked if name.startswith(("pipelines/", "tfd2l/"))}
        compare(wheel, {name for name in wheel_files(wheel) if not MADE.match(name)}, library, new)
    for path in (source, wheel):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def build(kind: str, source: Path, folder: Path) -> None:
    """Build one of the two with the Python and the setuptools of this environment."""
    subprocess.run([*UV, kind, "--out-dir", str(folder), str(source)], cwd=ROOT, check=True)


def normalize(path: Path) -> None:
    """Rewrite a source distribution: files by name, of no user, of one time."""
    time = int(os.environ["SOURCE_DATE_EPOCH"])
    with tarfile.open(path) as old:
        content = [(each, old.extractfile(each)) for each in old.getmembers() if each.isfile()]
        files = sorted((each.name, each.mode, data.read()) for each, data in content if data)
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=time) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for name, mode, data in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), time
            entry.mode = 0o755 if mode & 0o100 else 0o644
            new.addfile(entry, io.BytesIO(data))


def git_files(*which: str) -> set[str]:
    """Returns the names of the files in this clone that git lists."""
    command = ["git", "ls-files", "-z", *which]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {name for name in listing.split("\0") if (ROOT / name).is_file()}


def sdist_files(path: Path) -> set[str]:
    """Returns the names of the files below the source distribution's folder."""
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def wheel_files(path: Path) -> set[str]:
    """Returns the names of the wheel's files."""
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def compare(path: Path, found: set[str], wanted: set[str], new: set[str]) -> None:
    """Refuse an archive without a wanted file, or with one that is neither wanted nor new."""
    if not wanted <= found <= wanted | new:
        sys.exit(
            f"package: {path.name} lacks {sorted(wanted - found)}, and should not have "
            f"{sorted(found - wanted - new)}. Correct MANIFEST.in, or [tool.setuptools] in "
            "pyproject.toml."
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).absolute())
