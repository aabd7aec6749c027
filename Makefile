# Two commands do everything on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready
PIP := $(VENV)/bin/pip --disable-pip-version-check --quiet
BENCH ?= all

.PHONY: setup demo test check bench clean

setup: $(STAMP)

$(STAMP): requirements/runtime.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "atmsd needs Python 3.11 or later: make PYTHON=/path/to/python3.11 setup"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup
	$(VENV)/bin/atmsd demo

# The crash campaign and the rooms need the machine for themselves: they run after the rest, which shares the cores.
test: setup
	$(VENV)/bin/python -m pytest -n auto --ignore=tests/faults/test_crash_campaign.py tests/unit tests/property tests/contract tests/faults
	$(VENV)/bin/python -m pytest tests/faults/test_crash_campaign.py tests/loop

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: setup
	$(VENV)/bin/python -m bench $(BENCH)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
