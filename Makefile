# Every target builds .venv from requirements.lock where it is missing; nothing else is needed than
# Python 3.11 to 3.13 and a package registry that pip can reach.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-slow soak lint format bench clean

help: ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Build .venv from requirements.lock, and nothing else

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"fx-assets needs Python 3.11 to 3.13, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## The nightly job for every configured pair on embedded real data, as real Dagster runs
	@$(BIN)/fx-assets demo

up: $(STAMP) ## Dagster UI, its daemon and the forecast API on loopback, until Ctrl-C
	@exec $(BIN)/fx-assets up

test: $(STAMP) ## The default test suite
	$(PYTEST) -m "not slow and not soak" -n 2 --dist loadfile

test-slow: $(STAMP) ## The tests that train, start servers or drive a browser
	$(PYTEST) -m "slow and not soak" -n 2 --dist loadfile

soak: $(STAMP) ## Longer runs, outside CI
	$(PYTEST) -m soak

lint: $(STAMP) ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd benchmarks && MYPYPATH=.. ../$(BIN)/mypy --config-file ../pyproject.toml serving.py

format: $(STAMP) ## Write the format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## List the benchmarks; each runs alone: .venv/bin/python benchmarks/NAME.py
	@$(BIN)/python benchmarks/list.py

clean: ## Remove the environment; var/ (your data) stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
