# Everything runs in .venv at the root; only Python 3.10-3.12 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: help venv interface test test-slow lint format bench web web-check clean

help:
	@echo "make interface   build the page for the bundled model and print its path"
	@echo "make test        format, lint, types and tests"
	@echo "make test-slow   the slow tests"
	@echo "make bench       benchmarks against Lucid's rl_util (slow)"
	@echo "make web         rebuild the page's bundle from web/ (needs Node 20)"
	@echo "make venv        only create and fill $(VENV)"

venv: $(STAMP)

# Reinstalled only when what setup.py asks for changes.
$(STAMP): setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev,jax,ray]"
	touch $@

interface: venv
	$(BIN)/python -m scripts.make_interface --output_dir=outputs/interface

test: lint
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-slow: venv
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadfile

# Lucid 0.3.10, the last with rl_util, pins an old numpy: it stays apart.
LUCID_0310 := $(VENV)/lucid-0.3.10
$(LUCID_0310): | $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --target $@ lucid==0.3.10

bench: venv $(LUCID_0310)
	$(BIN)/python -m benchmarks.attribution
	$(BIN)/python -m benchmarks.attribution_error
	$(BIN)/python -m benchmarks.nmf
	$(BIN)/python -m benchmarks.colour
	$(BIN)/python -m benchmarks.feature_visualization
	$(BIN)/python -m benchmarks.tables

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The page's committed build is made anew; only people who change web/ need this.
web: web/node_modules/.package-lock.json
	cd web && npm run --silent build

# Without Node or its registry a test still compares the sources' hash with that of the build.
web-check:
	@if ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; \
	then echo "no Node of version 20 or newer: web-check skipped"; exit 0; fi; \
	$(MAKE) --no-print-directory web/node_modules/.package-lock.json || \
	{ echo "the page's tools cannot be installed: web-check skipped"; exit 0; }; \
	set -e; cd web; \
	npm run --silent check; npm run --silent test; \
	npm run --silent build -- --outDir node_modules/.built --logLevel warn; \
	diff -r node_modules/.built ../lucid_rl/interface/static \
	  && echo "the committed page is what its source builds" \
	  || { echo "the committed page is stale: run 'make web' and commit it"; exit 1; }

# The locked versions; `npm ci` would refuse a lock without other systems' binaries.
web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm install --no-save --silent
	touch $@

clean:
	rm -rf $(VENV) outputs .pytest_cache .mypy_cache .ruff_cache
