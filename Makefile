# make repro   everything from raw text to a verified release on the rehearsal hub; ends with the report's path
# make test    the tests
# The rest is for those who change the code: check, test-all, faults, slurm, gpu, bench, peers, compare, ui, pictures, lock, clean.
.DEFAULT_GOAL := help
.PHONY: help setup repro test check test-all faults slurm gpu bench peers compare ui pictures lock clean
SHELL := /bin/sh
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# A file of tests is one worker's, so that what is built for it is built once; three on two cores, since many tests wait.
BOTH := -n 3 --dist loadfile

help:
	@sed -n 's/^# \{0,1\}//p;/^\./q' Makefile

setup:
	@PYTHON="$(or $(PYTHON),python3)" ./bootstrap

repro: setup
	@$(BIN)/dvc repro
	@$(BIN)/python -m pipelines.rehearse

test: setup
	@$(PYTEST) $(BOTH) -m "not large and not gpu and not slurm"

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(PYTEST) $(BOTH) -m "not slow and not large and not gpu and not slurm"

test-all: setup
	@$(PYTEST) -m "not gpu and not slurm"

# Every fault of the table in docs/guides/faults.md, some 2,000 trials; FAULTS="--only writer-kill" plays one row.
faults: setup
	@$(BIN)/python -m tests.faults $(FAULTS)

# A real two-node Slurm on this machine: as root, with Debian's slurm-wlm and munge.
slurm: setup
	@$(PYTEST) -m slurm -rs tests/slurm

# Kernels against the reference, resumed runs, tokens/s and MFU: on a machine with a GPU (docs/guides/gpu.md), in the environment
# that is active there. `setup` would make one for a CPU.
gpu:
	@python -m pytest -m gpu -rs tests/gpu
	@python -m tests.bench.gpu

# Ratios against named peers, one table at the end. What a clone in which `make repro` has ended shows: python -m tests.bench.nano
bench: setup
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.watch
	@$(BIN)/python -m tests.bench.publish

# Decisions and speeds of the stages on text beside those of named peers, which stay out of our environment: another part of `bench`.
compare: setup peers
	@$(BIN)/python -m tests.bench.filters
	@$(BIN)/python -m tests.bench.copies
	@$(BIN)/python -m tests.bench.copies --speed
	@$(BIN)/python -m tests.bench.tokens
	@$(BIN)/python -m tests.bench.leaks

peers: .cache/peers/installed

.cache/peers/installed: tests/bench/peers/requirements.txt
	@rm -rf .cache/peers && python3 -m venv .cache/peers
	@.cache/peers/bin/pip install --quiet -r $<
	@touch $@

ui: setup
	@$(BIN)/yulan track ui

# The README's pictures, as the last build drew them.
pictures: setup
	@cp artifacts/nano/figures/data/mixes.svg docs/figures/ratios.svg
	@cp artifacts/nano/figures/data/flow.svg docs/figures/pipeline.svg

# A fresh environment from pyproject.toml alone; `+cpu` and the like are this machine's choice of build, not the lock's.
lock:
	@rm -rf .cache/lock && python3 -m venv .cache/lock
	@.cache/lock/bin/pip install --quiet "$$(sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)"
	@.cache/lock/bin/pip install --quiet ".[dev]"
	@.cache/lock/bin/pip freeze --exclude yulan | sed 's/+cpu$$//; s/+cu[0-9]*$$//' > requirements.lock
	@rm -rf .cache/lock

clean:
	@rm -rf runs build dist .mypy_cache .ruff_cache .pytest_cache
