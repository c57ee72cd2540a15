# Nothing but Python 3.11 or later and make is needed: `make demo` and `make test` do the rest.
PYTHON ?= python3
BIN := .venv/bin
PYTEST ?= $(BIN)/python -m pytest
# Eight processes of tests and hundreds of daemons import the same files: compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test sim protos bench clean \
	lint lint-style lint-format lint-types lint-imports lint-protos

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/meshctl demo

# Eight lanes, see tests/conftest.py: what waits for daemons, single parts, what computes.
# MINUTES=1 make test: histories of one virtual minute instead of ten, a third of the time less.
test: .venv/installed
	$(PYTEST) --numprocesses 8 --dist loadgroup $(PYTEST_ARGS)

# As many drawn histories as are asked for: make sim SEEDS=1000 FIRST=26 MINUTES=10 NODES=3
SEEDS ?= 100
FIRST ?= 1
MINUTES ?= 10
NODES ?= 10
sim: .venv/installed
	$(BIN)/python -m tests.sim --seed $(FIRST) --seeds $(SEEDS) --minutes $(MINUTES) --nodes $(NODES)

protos: .venv/installed
	$(BIN)/python protos/generate.py

# `make --keep-going lint` runs all of them, whichever fails.
lint: lint-style lint-format lint-types lint-imports lint-protos

lint-style: .venv/installed
	$(BIN)/ruff check .

lint-format: .venv/installed
	$(BIN)/ruff format --check .

lint-types: .venv/installed
	$(BIN)/mypy

lint-imports: .venv/installed
	$(BIN)/lint-imports

lint-protos: .venv/installed
	$(BIN)/python protos/generate.py --check

bench: .venv/installed
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv
