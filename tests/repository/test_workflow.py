"""The workflow for GitHub: its schema, its Pythons, and that it runs the project's own command."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import yaml

from tests.support import ROOT

WORKFLOW = ROOT / ".github/workflows/ci.yml"
JOB = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["test"]


def test_the_workflow_fits_githubs_schema() -> None:
    # The schema is a file of check-jsonschema's own: this needs no network.
    command = ["-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run(
        [sys.executable, *command, WORKFLOW], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_each_permitted_python_runs_what_a_developer_runs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = JOB["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={pythons[0]},<3.14"
    assert pythons == ["3.11", "3.12", "3.13"]
    assert [step["run"] for step in JOB["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)
