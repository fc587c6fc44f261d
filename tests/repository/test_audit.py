"""The audit of the locks: its verdict on pip-audit's answers, in the form of version 2.10."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import ROOT, ci_module

CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
VULNERABLE = {
    "name": "requests",
    "version": "2.30.0",
    "vulns": [
        {"id": "PYSEC-2023-74", "fix_versions": ["2.31.0"], "aliases": [], "description": "..."}
    ],
}
SKIPPED = {
    "name": "keras",
    "skip_reason": "Dependency not found on PyPI and could not be audited: keras (3.15.1)",
}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    return ci_module("audit")


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_an_advisory_is_named_with_its_remedy_and_fails(audit: ModuleType) -> None:
    text, status = audit.verdict(answer(CLEAN, VULNERABLE), "Found 1 known vulnerability")
    assert status == 1
    assert "2 packages, 1 advisories" in text
    assert "requests 2.30.0: PYSEC-2023-74, fixed in 2.31.0" in text
    assert "make lock" in text


def test_skipped_packages_are_counted(audit: ModuleType) -> None:
    text, status = audit.verdict(answer(CLEAN, SKIPPED), "")
    assert status == 0
    assert "1 more packages could not be checked" in text


@pytest.mark.parametrize(
    ("given", "complaints", "why"),
    [
        # An index without advisories: pip-audit itself finds that all is well.
        (answer(SKIPPED), "No known vulnerabilities found", "no advisories of any of the 1"),
        ("", "error: Failed to fetch\n  Caused by: dns error\n", "Caused by: dns error"),
        ("", "", "gave no answer"),
        ("[]", "", "gave no answer"),
    ],
)
def test_an_audit_that_could_not_be_made_says_so_and_fails_nothing(
    audit: ModuleType, given: str, complaints: str, why: str
) -> None:
    text, status = audit.verdict(given, complaints)
    assert status == 0
    assert text.startswith("audit: NOT DONE. ")
    assert why in text


GROUPS = ("docs", "notebook", "setup", "test")
LOCKS = [*(f"requirements-{group}" for group in GROUPS), "requirements"]


@pytest.mark.parametrize(("vulnerable", "status"), [("requirements-test", 1), ("jax", 0)])
def test_only_the_projects_own_versions_fail_the_audit(
    audit: ModuleType,
    vulnerable: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checked: list[list[str]] = []

    def run(arguments: list[str], deadline_s: float) -> tuple[str, str]:
        names = [each for each in arguments if each.startswith("--requirement=")]
        checked.append([Path(name).stem for name in names])
        return answer(VULNERABLE if vulnerable in checked[-1] else CLEAN), ""

    monkeypatch.setattr(audit, "run", run)
    assert audit.main() == status
    assert checked == [LOCKS, ["d2l-tensorflow"], ["jax"], ["torch"]]
    said = capsys.readouterr().out
    assert said.count("requests 2.30.0: PYSEC-2023-74") == 1
    assert ("make lock" in said) == bool(status)


def test_an_index_that_hangs_ends_the_audit_in_time(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "TIMEOUT_S", 0.3)
    # As uv starts pip-audit.
    program = "import subprocess; subprocess.run(['sleep', '60'])"
    monkeypatch.setattr(audit, "COMMAND", ("-c", program))
    assert audit.main() == 0
    assert capsys.readouterr().out.count("NOT DONE. There was no answer within") == 4


def test_the_default_tests_query_no_index() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([a-z]+):([^#\n]*)", makefile, re.MULTILINE))
    assert "audit" in rules
    assert not any("audit" in needs for needs in rules.values())
