# Python and make are all that a machine needs. Everything goes into .venv/, pinned by the lock files.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)

.PHONY: run up down test test-all check format bench bench-serving lock clean

run: $(VENV)/run.done          ## the worked example: a year of flights in minutes
	@$(BIN)/everfresh run $(PROJECT)

up: $(VENV)/run.done           ## Prefect, MLflow and the endpoints, until Ctrl-C
	@$(BIN)/everfresh up

down: $(VENV)/run.done         ## stop what still runs
	@$(BIN)/everfresh down

test: $(VENV)/test.done        ## the tests
	@$(BIN)/python -m pytest

test-all: $(VENV)/test.done    ## the tests, and all combinations that `make test` takes samples of
	@$(BIN)/python -m pytest -m ""

check: $(VENV)/test.done       ## what CI checks besides the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/test.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/test.done       ## the figures of the documentation
	$(BIN)/python benchmarks/drift_false_alarms.py

bench-serving: $(VENV)/test.done ## everfresh beside other model servers; ARGS="--quick" to see whether it works
	$(BIN)/python -m benchmarks.serving $(ARGS)

COMPILE := uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --quiet --no-header --no-annotate
lock:                          ## pin anew, from what pyproject.toml allows
	$(BIN)/$(COMPILE) pyproject.toml --extra prefect --extra aws --extra azure --extra postgres --extra grpc --extra oidc --extra otel --extra flights --group build -o requirements.lock
	$(BIN)/$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock
	$(BIN)/$(COMPILE) -c requirements.lock deployments/serving.in -o deployments/serving.lock

clean:
	rm -rf $(VENV) .everfresh reports .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "everfresh needs Python 3.11, 3.12 or 3.13: install one, or name it with PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# The tests' set holds the application's, so whoever has tested can run.
$(VENV)/run.done: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@test -f $(VENV)/test.done && test $(VENV)/test.done -nt requirements.lock || $(call install,requirements.lock)
	@touch $@

$(VENV)/test.done: requirements-dev.lock pyproject.toml | $(VENV)/bin/pip
	@$(call install,requirements-dev.lock)
	@touch $@

define install
{ echo "Setting up $(VENV)/ (a few minutes, once)" && \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; }
endef
