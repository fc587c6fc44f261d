# Each target first installs into .venv what it needs, unless it is there and fits the locks.
# The recipes use relative paths only, so that the clone may lie anywhere.

# The first one that runs: a version manager's python3.11 may exist and only print an error.
FITS := import sys; print(sys.executable) if (3, 11) <= sys.version_info < (3, 14) else sys.exit(1)
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c '$(FITS)' 2>/dev/null && exit; done; echo python3)
endif
RUN := .venv/bin/python
# Jupyter refuses to run as root without this flag.
ROOT_MAY := $(if $(filter 0,$(shell id -u)),--allow-root)

define set_up
@command -v "$(PYTHON)" >/dev/null || { echo "setup: Python 3.11 to 3.13 is needed;" \
	"$(PYTHON) is not there. On Debian: apt-get install python3" >&2; exit 2; }
@"$(PYTHON)" .ci/bootstrap.py $(1)
endef

.PHONY: help setup setup-test setup-notebook setup-docs train test lint quick long notebook rerun \
	docs audit package lock clean

help:  ## list what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

setup:  ## install what training needs; PYTHON=/path/to/python3.11 chooses the Python
	$(call set_up)

setup-test:
	$(call set_up,test)

setup-notebook:
	$(call set_up,notebook)

setup-docs:
	$(call set_up,docs)

train: setup  ## train the MLP on Fashion-MNIST and export it; ARGS="--model softmax" and the like
	@$(RUN) -m tfd2l.train $(ARGS)

test: lint  ## check style, types and imports, and run all tests but the long ones
	@$(RUN) -m pytest -n 2 --dist loadfile

lint: setup-test  ## check style, types and which part imports which
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@$(RUN) -m mypy
	@.venv/bin/lint-imports --no-logo

quick: setup-test  ## run the fast part of the unit tests, for the inner loop
	@$(RUN) -m pytest -q -n 2 --dist loadfile tests/unit -m "not long and not slow"

long: setup-test  ## run the tests that take minutes
	@$(RUN) -m pytest -m long

notebook: setup-notebook  ## open the notebooks in JupyterLab
	@$(RUN) -m jupyterlab $(ROOT_MAY) notebooks

rerun: setup-test  ## run all notebooks and save them with their outputs; ARGS="03_02" chooses
	@$(RUN) .ci/notebooks.py $(ARGS)

docs: setup-docs  ## build the documentation site, which is read without a network
	@$(RUN) -m sphinx --quiet --fail-on-warning --keep-going --jobs 2 --conf-dir docs/site \
		--doctree-dir docs/_build/doctrees . docs/_build/html
	@echo "open docs/_build/html/index.html"

audit: setup  ## list the known vulnerabilities of the locked packages, where PyPI can be queried
	@$(RUN) .ci/audit.py

package: setup  ## build the source distribution and the wheel into dist/, which must be empty
	@$(RUN) .ci/package.py dist

lock: | .venv/bin/uv  ## resolve pyproject.toml to the newest versions, into requirements*.txt
	@"$(PYTHON)" .ci/lock.py

.venv/bin/uv:
	$(call set_up)

clean:  ## remove the environment and caches; runs, exports, data and uv's cache stay
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
		.hypothesis *.egg-info build dist docs/_build docs/api
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
