# Everything runs in .venv, made here from pyproject.toml and constraints.txt. Needs make and Python >= 3.11.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
# Two files at a time, a thread each: most tests are small, and a second thread would only get in the other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: ablate example bench-metrics bench-stats check test test-all format install clean

ablate: $(READY)
	$(BIN)/harness ablate ablations/tricks.yaml

# The README's picture and docs/example-report.html, from the study that `make ablate` runs.
example: ablate
	$(BIN)/python docs/example_report.py

test: $(READY)
	$(PYTEST)

test-all: $(READY)
	$(PYTEST) -m "slow or not slow"

bench-metrics: $(READY)
	$(BIN)/python benchmarks/metrics.py

bench-stats: $(READY)
	$(BIN)/python benchmarks/effects.py
	$(BIN)/python benchmarks/sequential.py
	$(BIN)/python benchmarks/aa.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
