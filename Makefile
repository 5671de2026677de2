# Everything runs in .venv at the root; only Python 3.10-3.12 and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
JOBS ?= 2

.PHONY: help venv dev interface test test-slow test-oldest docs lock lint format bench web web-check clean

help:
	@echo "make interface   build the page of the distilled model and print its path"
	@echo "make test        format, lint, types and tests"
	@echo "make test-slow   the slow tests"
	@echo "make bench       benchmarks against Lucid's rl_util (slow)"
	@echo "make web         rebuild the page's bundle from web/ (needs Node 20)"
	@echo "make docs        the API reference, from the docstrings, in outputs/api"
	@echo "make test-oldest the tests on the oldest versions that setup.py allows"
	@echo "make venv        only create $(VENV) with what users need; make dev: for developers"

venv: $(STAMP)

# Reinstalled only when what setup.py asks for changes. The versions are those of the
# lock where it fits the Python at hand. Modules are compiled when they are first
# imported, as most never are.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
unexport PYTHONDONTWRITEBYTECODE
LOCK = $$($(BIN)/python -c "import sys; print('-c requirements_lock.txt' * (sys.version_info[:2] == (3, 11)))")

$(STAMP): setup.py requirements_lock.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(LOCK) --editable .
	touch $@

dev: $(DEV_STAMP)

# In one step: a second call of pip would build the package and resolve all again.
$(DEV_STAMP): setup.py requirements_lock.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(LOCK) --editable ".[dev]"
	touch $(STAMP) $@

interface: venv
	$(BIN)/python -m scripts.make_interface --model=bundled:distilled --output_dir=outputs/interface

test: lint
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-slow: dev
	$(BIN)/python -m pytest -m slow -n $(JOBS) --dist loadfile

docs: dev
	$(BIN)/pdoc --docformat google lucid_rl -o outputs/api

# What setup.py allows at the least, in an environment of its own; newest: `make test`.
test-oldest: dev
	$(PIP) uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(VENV)/oldest
	$(BIN)/uv pip install --quiet --python $(VENV)/oldest/bin/python \
	  --resolution lowest-direct --editable ".[dev]"
	$(VENV)/oldest/bin/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

# The versions that pip chooses now, after the tests passed with them.
lock: dev
	{ grep '^#' requirements_lock.txt; \
	  $(BIN)/python -m pip freeze --exclude-editable; } > requirements_lock.txt.new
	mv requirements_lock.txt.new requirements_lock.txt

# Lucid 0.3.10, the last with rl_util, pins an old numpy: it stays apart.
LUCID_0310 := $(VENV)/lucid-0.3.10
$(LUCID_0310): | $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps --target $@ lucid==0.3.10

bench: dev $(LUCID_0310)
	$(BIN)/python -m benchmarks.attribution
	$(BIN)/python -m benchmarks.attribution_error
	$(BIN)/python -m benchmarks.nmf
	$(BIN)/python -m benchmarks.colour
	$(BIN)/python -m benchmarks.feature_visualization
	$(BIN)/python -m benchmarks.tables

lint: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: dev
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
