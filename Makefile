# Every target makes its own virtual environment in .venv, with the newest Python 3.11 to 3.13 that runs
# (`make PYTHON=python3.12 test` to choose another; `make JOBS=8 test` for more test processes).

FITS := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c "$(FITS)" 2>/dev/null && echo $$p && break; done)
JOBS ?= 2
BIN := .venv/bin

.PHONY: demo test check learn bench docs

demo: .venv/.dev  ## two routers learn to share a link
	$(BIN)/covey reproduce att-maddpg/demo

test: .venv/.dev  ## units and laws
	$(BIN)/python -m pytest -m "not learn" -n $(JOBS) --dist loadscope

check: .venv/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

learn: .venv/.dev  ## slow tests in which something has to learn, and every law, with the compiler's usual settings
	XLA_FLAGS=--xla_force_host_platform_device_count=4 $(BIN)/python -m pytest -m learn -n $(JOBS) --dist loadscope

bench: .venv/.dev  ## how fast is this machine?
	$(BIN)/covey bench

docs: .venv/.docs  ## the pages, as files that need no network: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.venv/.dev: pyproject.toml
	test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "covey needs Python 3.11, 3.12 or 3.13." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

.venv/.docs: .venv/.dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@
