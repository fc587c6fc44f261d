""".ci/audit.py: what is made of pip-audit's answers, in the forms that version 2.10 gives them."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
HOLED = {
    "name": "requests",
    "version": "2.30.0",
    "vulns": [
        {"id": "PYSEC-2023-74", "fix_versions": ["2.31.0"], "aliases": [], "description": "..."}
    ],
}
PASSED_OVER = {
    "name": "keras",
    "skip_reason": "Dependency not found on PyPI and could not be audited: keras (3.15.1)",
}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_an_advisory_is_named_with_its_remedy_and_fails(audit: ModuleType) -> None:
    text, status = audit.verdict(answer(CLEAN, HOLED), "Found 1 known vulnerability")
    assert status == 1
    assert "2 packages, 1 advisories" in text
    assert "requests 2.30.0: PYSEC-2023-74, mended in 2.31.0" in text
    assert "make lock" in text


def test_what_was_passed_over_is_told(audit: ModuleType) -> None:
    text, status = audit.verdict(answer(CLEAN, PASSED_OVER), "")
    assert status == 0
    assert "of 1 more packages nothing could be learnt" in text


@pytest.mark.parametrize(
    ("given", "complaints", "why"),
    [
        # An index without advisories: pip-audit itself finds that all is well.
        (answer(PASSED_OVER), "No known vulnerabilities found", "no advisories of any of the 1"),
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


def test_the_default_tests_ask_nobody() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([a-z]+):([^#\n]*)", makefile, re.MULTILINE))
    assert "audit" in rules
    assert not any("audit" in needs for needs in rules.values())
