# Everything a checkout needs, from PyPI alone: `make demo`, `make test`. See CONTRIBUTING.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export CONTROL_PLANE_DATA ?= $(CURDIR)/.data

.PHONY: demo dev test check fuzz bench docs lock clean help
.DEFAULT_GOAL := help

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/ready ## Watch a governed execution happen for real
	@$(BIN)/python examples/demo.py

dev: $(VENV)/ready ## Start everything on this machine and keep it up
	@CONTROL_PLANE_WORKER_REHEARSE=kubernetes,github,slack $(BIN)/control-plane dev

test: $(VENV)/ready ## Run all tests
	$(BIN)/pytest -n auto --dist loadfile

check: $(VENV)/ready ## Lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/ready ## Send the API about 50,000 requests that nobody expects
	FUZZ_EXAMPLES=700 FUZZ_SECONDS=600 $(BIN)/pytest -q --timeout=0 tests/fuzz

bench: $(VENV)/ready ## Measure; BENCH=name for one
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(VENV)/ready ## Write the API reference anew from the OpenAPI document
	@$(BIN)/python -m docs.reference

lock: $(VENV)/uv ## Resolve what pyproject.toml asks for into requirements.lock; LOCK=--upgrade for the newest
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--all-extras $(LOCK) pyproject.toml --output-file requirements.lock

clean: ## Remove the environment and the data of the embedded stack
	rm -rf $(VENV) .data

$(VENV)/uv:
	@echo "Making the Python environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.8'
	@touch $@

$(VENV)/ready: $(VENV)/uv requirements.lock pyproject.toml examples/toolset_rehearsal/pyproject.toml
	@echo "Installing the locked dependencies"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
		--editable . --editable examples/toolset_rehearsal
	@touch $@
