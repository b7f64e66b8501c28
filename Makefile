# Every target makes its own virtual environment in .venv, with the newest Python 3.11 to 3.13 that runs
# (`make PYTHON=python3.12 test` to choose another; `make JOBS=8 test` for more test processes).

FITS := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c "$(FITS)" 2>/dev/null && echo $$p && break; done)
JOBS ?= 2
VENV ?= .venv
EXTRAS ?= dev
BIN := $(VENV)/bin
PYTEST := -m pytest -n $(JOBS) --dist loadscope
QUICK := tests/core tests/nn tests/learning tests/algorithms tests/authored tests/runs tests/studies tests/testing

help:  ## these lines
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: help install demo test test-slow test-quick test-jaxmarl test-oldest check learn bench docs

install: $(VENV)/.dev  ## covey and its tools in .venv, and nothing else

demo: $(VENV)/.dev  ## two routers learn to share a link
	$(BIN)/covey reproduce att-maddpg/demo

test: $(VENV)/.dev  ## units and laws
	$(BIN)/python $(PYTEST) -m "not learn and not slow"

test-slow: $(VENV)/.dev  ## the rest of them: whole tables of cases, every command on every page
	$(BIN)/python $(PYTEST) -m slow

test-quick: $(VENV)/.dev  ## units alone; with VENV=.venv-3.13 PYTHON=python3.13, on another Python
	$(BIN)/python $(PYTEST) -m "not learn and not slow" $(QUICK)

test-jaxmarl:  ## environments of JaxMARL, which other tests skip: it holds JAX back, and is installed in .venv-jaxmarl
	$(MAKE) install VENV=.venv-jaxmarl EXTRAS=dev,jaxmarl
	.venv-jaxmarl/bin/python $(PYTEST) $(wildcard tests/environments/test_jaxmarl*.py)
	.venv-jaxmarl/bin/python $(PYTEST) tests/test_commands.py -k jaxmarl

test-oldest: .venv-oldest/.dev  ## units and laws with the oldest packages that pyproject.toml allows
	.venv-oldest/bin/python $(PYTEST) -m "not learn and not slow"

check: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

learn: $(VENV)/.dev  ## slow tests in which something has to learn, and every law, with the compiler's usual settings
	XLA_FLAGS=--xla_force_host_platform_device_count=4 $(BIN)/python $(PYTEST) -m learn

bench: $(VENV)/.dev  ## how fast is this machine?
	$(BIN)/covey bench

docs: $(VENV)/.docs  ## the pages, as files that need no network: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || test -n "$(PYTHON)" || { echo "covey needs Python 3.11, 3.12 or 3.13." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# pip always takes the newest; uv also knows the oldest. What only tests need stays new.
.venv-oldest/.dev: pyproject.toml
	rm -rf .venv-oldest
	python3.11 -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=.venv-oldest .venv-oldest/bin/uv pip install --quiet --resolution lowest-direct --editable .
	VIRTUAL_ENV=.venv-oldest .venv-oldest/bin/uv pip install --quiet --editable '.[dev]'
	touch $@
