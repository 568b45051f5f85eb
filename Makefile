# Needs only make and Python 3.11 or newer. `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Extra words for pytest, for instance PYTEST_ARGS="tests/model -x".
PYTEST_ARGS ?=
WORKERS ?= 2

# Each test worker has one core: more threads would only fight over it.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
PYTEST := $(ONE_THREAD) $(BIN)/pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup test test-slow torture mutants lint types format bench docs demo retrain clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Create .venv with everything in it, at the versions of constraints.txt

# The constraints matter most for torch: left to a range, pip may take a build with gigabytes of CUDA libraries.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("crossframe needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make setup PYTHON=/path/to/python3.11")'
	@echo 'Installing into $(VENV): about 3 GB, a few minutes.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,ray,search,serve,shots,remote]' --group dev
	@touch $@

test: setup lint types  ## Lint, types and the quick tests: what every change must pass
	$(PYTEST) $(PYTEST_ARGS)

test-slow: setup  ## The long suites, not part of `make test`
	$(PYTEST) -m 'slow and not network and not gpu' $(PYTEST_ARGS)

torture: setup  ## Damaged files, kills, full disks, limits, threads, leaks and rounding, under an hour on two cores
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group torture
	$(ONE_THREAD) $(BIN)/python -m benchmarks.torture

mutants: setup  ## Plant listed faults, one at a time, and count those that the tests notice
	$(BIN)/python -m benchmarks.mutants --jobs $(WORKERS)

lint: setup  ## Style, formatting and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup  ## Strict types of src
	$(BIN)/basedpyright

format: setup  ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# With one thread, the sums, and so the weights, are the same to the last bit on any number of cores.
retrain: setup  ## Train the bundled model again, from nothing: under three hours on two cores
	$(ONE_THREAD) $(BIN)/crossframe train shapes-pretrain --out runs/shapes-pretrain
	$(ONE_THREAD) $(BIN)/crossframe train shapes-order --out runs/shapes-order
	$(ONE_THREAD) $(BIN)/crossframe train shapes-messages --out runs/shapes-messages
	$(ONE_THREAD) $(BIN)/crossframe train shapes --out runs/shapes
	$(BIN)/python scripts/bundle_shapes.py runs/shapes/last

bench: setup  ## Measure everything beside its peers, about twenty minutes on an idle machine; writes benchmarks/results and the tables of docs/performance.md
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m benchmarks --save
	$(BIN)/python -m benchmarks.tables

docs: setup  ## The documentation as a site, in site/, which opens without a server or a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo site/index.html

demo: setup  ## Name what happens in a few freshly drawn clips
	$(BIN)/crossframe demo

clean:  ## Remove the environment, caches and build results
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
