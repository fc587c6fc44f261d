# Everything here sets up .venv first, when it is not there or no longer fits requirements.txt.
# The recipes use relative paths only, so that the clone may lie anywhere.

# The first one that works: of a version manager, python3.11 may be there and only print an error.
FITS := import sys; print(sys.executable) if (3, 11) <= sys.version_info < (3, 14) else sys.exit(1)
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c '$(FITS)' 2>/dev/null && exit; done; echo python3)
endif
RUN := .venv/bin/python
# Jupyter starts for root only when told to.
ROOT_MAY := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help setup train test lint quick long notebook audit lock clean

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

setup:  ## the environment alone; PYTHON=/path/to/python3.11 chooses its Python
	@command -v "$(PYTHON)" >/dev/null || { echo "setup: Python 3.11 to 3.13 is needed;" \
		"$(PYTHON) is not there. On Debian: apt-get install python3" >&2; exit 2; }
	@"$(PYTHON)" .ci/bootstrap.py

train: setup  ## train the MLP on Fashion-MNIST and export it; ARGS="--model softmax" and the like
	@$(RUN) -m tfd2l.train $(ARGS)

test: lint  ## style, types and all tests but the long ones
	@$(RUN) -m pytest -n 2 --dist loadfile

lint: setup  ## style and types
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy

quick: setup  ## the fast part of the unit tests, for the inner loop
	@$(RUN) -m pytest -q -n 2 --dist loadfile tests/unit -m "not long and not slow"

long: setup  ## the tests that take minutes
	@$(RUN) -m pytest -m long

notebook: setup  ## open the notebooks in JupyterLab
	@$(RUN) -m jupyterlab $(ROOT_MAY) notebooks

audit: setup  ## known security holes of the locked packages, where PyPI can be asked
	@$(RUN) .ci/audit.py

lock:  ## resolve the newest versions that pyproject.toml permits into requirements.txt
	@"$(PYTHON)" .ci/bootstrap.py --lock

clean:  ## remove the environment and caches; runs, exports and data stay
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
