# Everything runs in .venv, made here from pyproject.toml and constraints.txt. Needs make and Python >= 3.11.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
# Two files at a time, a thread each: most tests are small, and a second thread would only get in the other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

.PHONY: ablate audit example bench-load bench-metrics bench-power bench-stats check fuzz test test-all test-faults format install clean

ablate: $(READY)
	$(BIN)/harness ablate ablations/tricks.yaml

# The README's picture and docs/example-report.html, from the study that `make ablate` runs.
example: ablate
	$(BIN)/python docs/example_report.py

test: $(READY)
	$(PYTEST)

test-all: $(READY)
	$(PYTEST) -m "slow or not slow"

# 100,000 inputs of every kind that comes from outside; INPUTS, SEED and KINDS choose others.
INPUTS ?= 100000
SEED ?= 0
fuzz: $(READY)
	OMP_NUM_THREADS=1 PYTHONPATH=tests/fuzz $(BIN)/python -m fuzzing --inputs $(INPUTS) --seed $(SEED) $(KINDS)

# Known vulnerabilities of what constraints.txt pins; asks a service of the network.
audit:
	PYTHON=$(PYTHON) .ci/audit

# Kills and other faults put into studies, and what is left of them: under 20 minutes on two cores.
test-faults: $(READY)
	PYTHONPATH=tests/faults $(BIN)/python -m injecting

# 5,000 runs of a stub in 16 slots, with both dashboards read by a browser all along.
bench-load: $(READY)
	$(BIN)/python benchmarks/load.py

bench-metrics: $(READY)
	$(BIN)/python benchmarks/metrics.py

bench-power: $(READY)
	$(BIN)/python benchmarks/power.py

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
