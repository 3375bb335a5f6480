# Every command makes its own virtual environment and installs what it needs; nothing else has to be there.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-all chaos check bench soak clean

help: ## Show these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

# Another distribution, `aioq`, has the same module and command: where it is, it is taken out first.
$(VENV)/made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade "pip>=25.1"
	$(VENV)/bin/pip uninstall -qq --yes aioq
	$(VENV)/bin/pip install --quiet --editable ".[embedded,uvloop]" --group test --group check
	touch $@

demo: $(VENV)/made ## Run the example job on real documents: enqueue, work, fail, requeue
	$(VENV)/bin/aioq demo

test: $(VENV)/made ## Run the tests on a real server
	$(RUN) -m pytest -n 6 --dist worksteal

test-all: $(VENV)/made ## Run these tests and those that take longer
	$(RUN) -m pytest -m "chaos or not chaos" -n 5 --dist worksteal

chaos: $(VENV)/made ## Break servers, workers and networks under load (make chaos ARGS="--kills 1000 --seed 7")
	$(RUN) -m pytest -m chaos -n 4
	$(RUN) -m tests.chaos $(ARGS)

check: $(VENV)/made ## Lint, check types and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/made-bench: $(VENV)/made
	$(VENV)/bin/pip install --quiet --group bench
	touch $@

bench: $(VENV)/made-bench ## Measure speed beside the protocol's floor (make bench ARGS="--quick")
	$(RUN) -m benchmarks $(ARGS)

soak: $(VENV)/made ## Keep a fleet under load and faults, and see whether anything grows (make soak ARGS="--minutes 60")
	$(RUN) -m tests.soak $(ARGS)

clean: ## Remove the virtual environments and caches
	rm -rf $(VENV) .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
