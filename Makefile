# Everything a person or a pipeline runs. `make` alone lists it.
# Needs git, make and Python 3.11 or newer with pip; the rest is installed into .venv from hashed lock files.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
# Touched when .venv agrees with the lock: a second `make` starts nothing.
READY := $(VENV)/.ready

# The coverage that must be complete: what decides, and what reads the rules.
COMPLETE := cds_service/decision/*,cds_service/rulebook/*

# One worker per core; a worker that is done takes tests from the others. PARALLEL= runs the tests in one process.
PARALLEL ?= -n auto --dist worksteal

# Set to any value, `make demo` shows the cards and exits.
ONCE ?=
# Further words for pytest: make test-quick ARGS="-k pregnancy"
ARGS ?=

# $(call find_python) sets $$python or ends with a sentence.
define find_python
python=; \
for name in $(PYTHON) python3.11 python3 python; do \
  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$name"; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "This project needs Python 3.11 or newer, and neither python3.11 nor python3 is one." >&2; \
  echo "Install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
  exit 1; \
fi
endef

# $(call fill_venv,FOLDER,LOCK) makes a virtual environment that holds the lock and nothing else.
# Some systems split venv's own pip off: there the pip beside Python fills the environment from outside.
define fill_venv
$(find_python); \
echo "Setting up $(1) from $(2) with $$("$$python" --version)"; \
rm -rf $(1); \
if "$$python" -c 'import ensurepip' 2>/dev/null; then \
  "$$python" -m venv $(1); pip="$(1)/bin/python -m pip"; \
elif "$$python" -m pip --version >/dev/null 2>&1; then \
  "$$python" -m venv --without-pip $(1); pip="$$python -m pip --python $(1)/bin/python"; \
else \
  echo "$$python has neither ensurepip nor pip: install its pip (on Debian and Ubuntu: python3-venv or python3-pip)." >&2; \
  exit 1; \
fi; \
export PIP_DISABLE_PIP_VERSION_CHECK=1; \
$$pip install --quiet --require-hashes -r $(2)
endef

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 20

$(READY): requirements/dev.txt pyproject.toml
	@$(call fill_venv,$(VENV),requirements/dev.txt); \
	$$pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(READY) ## make .venv from the lock file (every other command does so when needed)

# ---------------------------------------------------------------- run

.PHONY: demo
demo: $(READY) ## the service with a sandbox EHR on 127.0.0.1:8000, its cards in the terminal (ONCE=1: show and exit)
	@$(BIN)/cds-service demo $(if $(ONCE),--once)

.PHONY: serve
serve: $(READY) ## the service alone, settings from the environment (.env.example lists them)
	@$(BIN)/cds-service serve

# ---------------------------------------------------------------- check

.PHONY: test
test: $(READY) ## all tests, and complete coverage of the decision and the rulebook
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=
	@echo "Coverage of $(COMPLETE) (lines and branches, 100 % required)"
	@$(BIN)/python -m coverage report --include='$(COMPLETE)' --fail-under=100

.PHONY: test-quick
test-quick: $(READY) ## the fast tests, stopping at the first failure
	@$(BIN)/python -m pytest $(PARALLEL) -x -m "not slow" $(ARGS)

.PHONY: lint
lint: $(READY) ## style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: $(READY) ## put the code into its format, imports sorted
	@$(BIN)/ruff check --fix-only --select I .
	@$(BIN)/ruff format .

.PHONY: bench
bench: $(READY) ## speed: the whole decision against plain JSON parsing, and CPU per request
	@$(BIN)/python -m benchmarks

# ---------------------------------------------------------------- generated, committed files

.PHONY: schema
schema: $(READY) ## the JSON Schema of rule files, from the code that reads them
	@$(BIN)/cds-service rules schema

.PHONY: pages
pages: $(READY) ## the page for people of each rule version, and docs/traceability.md
	@$(BIN)/cds-service rules pages
	@$(BIN)/cds-service rules traceability

.PHONY: mutants
mutants: $(READY) ## change each rule a little, many times: does a case notice?
	@$(BIN)/cds-service rules mutants

# Deliberate: takes the newest versions that pyproject.toml allows. Locks name versions and hashes, never where to download.
LOCK_VENV := .venv-lock
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(LOCK_VENV)/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
  --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.PHONY: lock
lock: ## renew the lock files in requirements/ from pyproject.toml
	@$(call fill_venv,$(LOCK_VENV),requirements/lock.txt)
	@$(COMPILE) --output-file requirements/lock.txt requirements/lock.in
	@$(COMPILE) --output-file requirements/base.txt pyproject.toml
	@$(COMPILE) --output-file requirements/dev.txt --extra dev --constraint requirements/base.txt pyproject.toml

.PHONY: clean
clean: ## remove what these commands made
	rm -rf $(VENV) $(LOCK_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
