# Nothing but Python 3.11 or later and make is needed: `make demo` and `make test` do the rest.
PYTHON ?= python3
BIN := .venv/bin
PYTEST ?= $(BIN)/python -m pytest

.PHONY: demo test protos lint bench clean

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/meshctl demo

test: .venv/installed
	$(PYTEST) $(PYTEST_ARGS)

protos: .venv/installed
	$(BIN)/python protos/generate.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

bench: .venv/installed
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv
