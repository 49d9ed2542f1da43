# Everything a newcomer needs: `make demo`, `make test`. Both do their own set-up, once, in .venv.
# Python 3.11 or newer and make are enough; PYTHON=/path/to/python chooses another interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$candidate"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SECONDS_OF_DEMO ?= 30
SECONDS ?= 60
PYTEST_ARGS ?=

.PHONY: help setup demo test fuzz check format bench lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 10

setup: $(STAMP)  ## the virtual environment, with the exact versions of constraints.txt

# --require-hashes: nothing is installed that is not listed with its hash, whichever index it comes from.
# --no-build-isolation: the build back end is in the list too, so nothing unlisted is fetched to build this package.
$(STAMP): constraints.txt pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed, and none was found; say PYTHON=/path/to/python" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments: its venv or ensurepip module is missing (Debian: apt-get install python3-venv)" >&2; \
		exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP)  ## two real classifiers, the router in front, real traffic, a live table
	$(BIN)/router demo --seconds $(SECONDS_OF_DEMO)

test: $(STAMP)  ## the whole test suite, a file of tests at a time on each core
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

fuzz: $(STAMP)  ## draw many more inputs for SECONDS=60; a failure says its SEED=
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

check: $(STAMP)  ## style, types, dependency direction, example configurations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	for file in config/*.yaml; do $(BIN)/router check "$$file"; done
	$(BIN)/router schema | diff config/router.schema.json -

format: $(STAMP)  ## rewrite the sources in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## measure against nginx, HAProxy and Envoy; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

# The options keep indexes, hosts and local paths of whoever runs this out of the files.
COMPILE := pip-compile --quiet --upgrade --generate-hashes --all-build-deps --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

lock:  ## choose the versions in the constraints files anew
	locker=$$(mktemp -d); trap 'rm -rf "$$locker"' EXIT; \
	$(PYTHON) -m venv "$$locker"; \
	"$$locker/bin/python" -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'; \
	export CUSTOM_COMPILE_COMMAND="make lock"; \
	"$$locker/bin/"$(COMPILE) --all-extras --output-file constraints.txt pyproject.toml; \
	"$$locker/bin/"$(COMPILE) --extra analysis --constraint constraints.txt --output-file constraints-runtime.txt pyproject.toml
	! grep -nE '://|file:|^-|@ ' constraints.txt constraints-runtime.txt

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist benchmarks/.work .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
