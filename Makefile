# Yojohan. `make help` lists the targets. Needs only Python 3.11 or newer (with venv), make and gcc.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Small processes: one malloc arena instead of one per thread.
export MALLOC_ARENA_MAX := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install install-dev run test check format bench chaos lock clean

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Install what the server needs into .venv, from the lock file

install-dev: $(VENV)/.installed-dev ## Install what tests and checks need, too

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(BIN)/python
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements-dev.lock
	@touch $@ $(VENV)/.installed

run: install ## Serve, with the embedded PostgreSQL and a demo catalogue (DEMO=0 leaves it empty)
	@exec $(BIN)/python run.py serve

test: install-dev ## Run all tests, a process a core, each with databases of its own
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --no-loadscope-reorder $(ARGS)

check: install-dev ## Formatting, lint, types, architecture rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: install-dev ## Rewrite files the way `check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-dev ## Measure against the limits of this machine; writes docs/benchmarks.md
	$(BIN)/python -m tests.bench --write docs/benchmarks.md $(ARGS)

chaos: install-dev ## Kill the server 200 times under load, crowd it, overload it, take Redis away; say what it broke
	$(BIN)/python -m tests.chaos $(ARGS)

lock: install-dev ## Resolve the dependencies anew into the lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove what was installed and built, not the data in var/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
