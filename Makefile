# Everything here sets up .venv first, when it is not there or no longer fits requirements.txt.
# The recipes use relative paths only, so that the clone may lie anywhere.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
RUN := .venv/bin/python

.PHONY: help setup train test lint quick long notebook lock clean

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

setup:
	@$(PYTHON) .ci/bootstrap.py

train: setup  ## train the MLP on Fashion-MNIST and export it; ARGS="--model softmax" and the like
	@$(RUN) -m tfd2l.train $(ARGS)

test: lint  ## style, types and all tests but the long ones
	@$(RUN) -m pytest

lint: setup
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy

quick: setup  ## the fast part of the unit tests, for the inner loop
	@$(RUN) -m pytest -q tests/unit -m "not long and not slow"

long: setup  ## the tests that take minutes
	@$(RUN) -m pytest -m long

notebook: setup  ## open the notebooks in JupyterLab
	@$(RUN) -m jupyterlab notebooks

lock: setup  ## resolve the newest versions that pyproject.toml permits into requirements.txt
	@$(PYTHON) .ci/bootstrap.py --lock

clean:  ## remove the environment and caches; runs, exports and data stay
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
