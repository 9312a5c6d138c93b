# Needs GNU make and Python 3.11 to 3.14; the rest is installed into .venv from requirements/*.txt.
# PYTHON=python3.13 picks another Python for a new .venv. uv is used where it is on PATH, pip otherwise.
# Paths are relative and programs run as modules, so that the repository may lie in a folder with spaces.

# Bytecode is kept whatever the caller's environment says: without it every start compiles thousands of files again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin/python
LOCKED_EXTRAS := experiment evaluation sweep aggregate exporter server operator
MONTH := synthetic_yellow_tripdata_2016-01.parquet

# A stamp carries the checksum of what was installed: another lock, pyproject.toml or version has another stamp.
sum = $(shell cat requirements/$(1).txt pyproject.toml flows/__init__.py | cksum | cut -d " " -f 1)
EVALUATION := .venv/evaluation-$(call sum,evaluation).stamp
DEV := .venv/dev-$(call sum,dev).stamp

.PHONY: help setup run test unit lint fuzz bench up down purge backup restore smoke soak lock clean

help: ## Print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/make \1@\2/p' Makefile | awk -F @ '{ printf "%-12s %s\n", $$1, $$2 }'

setup: $(DEV) ## Create .venv with everything that tests need

run: $(EVALUATION) ## Cluster a synthetic month as a Prefect flow: its result table and its record
	@echo "Making a synthetic month (no real trips) in the object store ..."
	$(BIN) -m flows data synth
	$(BIN) -m flows evaluate $(MONTH) --eps 0.1 --min-samples 50

test: lint ## Lint, then run all tests with coverage; sets up what is missing
	$(BIN) -m pytest --cov --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

unit: $(DEV) ## Run the unit tests only, without coverage: make unit ARGS="-k prepare"
	$(BIN) -m pytest tests/unit $(ARGS)

lint: $(DEV) ## Check format, style, types and layers
	$(BIN) -m ruff format --check
	$(BIN) -m ruff check
	$(BIN) -m mypy
	$(BIN) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

fuzz: $(DEV) ## Run mutated inputs against every reader: make fuzz N=100000 SEED=1
	$(BIN) -m tests.fuzz --cases $(or $(N),1000) --seed $(or $(SEED),0)

bench: $(DEV) ## Measure side by side with the plain ways: benchmarks/results and docs/benchmarks.md get the ratios
	$(BIN) -m benchmarks.preparing
	$(BIN) -m benchmarks.starting
	$(BIN) -m benchmarks.clustering
	$(BIN) -m benchmarks.sweeping
	$(BIN) -m benchmarks.months
	$(BIN) -m scripts.docs

# Where images go: nowhere for kind, which is handed them; else a registry that the cluster reaches.
SKAFFOLD := $(if $(PROFILE),--profile $(PROFILE)) $(if $(DEFAULT_REPO),--default-repo $(DEFAULT_REPO))

up: $(DEV) ## Install the stack on Kubernetes: make up PROFILE=small DEFAULT_REPO=registry:5000
	@k8s/up.sh $(SKAFFOLD)

down: ## Uninstall the stack; its data stay
	@k8s/down.sh

purge: ## Delete the stack with all data; asks first
	@k8s/purge.sh

backup: $(DEV) ## Copy Prefect's database, months and records off the cluster: make backup DIR=folder
	@$(BIN) -m flows platform backup "$(DIR)"

restore: $(DEV) ## Bring a backup back: make restore DIR=folder (FORCE=1 replaces a database with runs)
	@$(BIN) -m flows platform restore $(if $(FORCE),--force) "$(DIR)"

smoke: $(DEV) ## Install the stack into the cluster of the kube context and run the quick tests there
	$(BIN) -m pytest tests/cluster -m smoke $(ARGS)

soak: $(DEV) ## The same with all tests of the cluster, each fault three times; docs/operations/reliability.md gets the table
	@report=build/soak-$$(git describe --always --dirty).xml; \
	$(BIN) -m pytest tests/cluster -m cluster -o junit_family=xunit1 --junitxml=$$report $(ARGS); ended=$$?; \
	$(BIN) -m tests.cluster.table $$report && $(BIN) -m scripts.docs; exit $$ended

# Dependants are resolved within dev.txt, so that all locks agree and one .venv serves run and test.
lock: $(DEV) ## Write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(call compile,dev) $(ARGS)
	@for extra in $(LOCKED_EXTRAS); do $(call compile,$$extra) --constraint requirements/dev.txt; done

clean: ## Remove .venv, caches and build results; the object store stays
	rm -rf .venv .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(EVALUATION): | .venv/created
	@$(call install,evaluation)
	@touch $@

# dev.txt holds all of evaluation.txt in the same versions.
$(DEV): | .venv/created
	@$(call install,dev)
	@touch $@ $(EVALUATION)

.venv/created:
	@command -v "$(PYTHON)" > /dev/null || { echo "error: no $(PYTHON). Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else "error: $(PYTHON) is Python %d.%d; 3.11 to 3.14 is needed. Name one: make PYTHON=/path/to/python3.12" % v)'
	"$(PYTHON)" -m venv .venv
	@touch $@

# $(call install,LOCK): what the lock names, each file checked by its hash, then the project itself. A lock is complete, so
# nothing is resolved (older pips would look for newer versions of what an extra names). Compiling all of it to bytecode
# would take longer than the rest; Python does that for what it imports.
define install
rm -f .venv/*.stamp; echo "Installing requirements/$(1).txt into .venv (the first time takes about a minute) ..."; \
if command -v uv > /dev/null && uv pip install --quiet --python .venv --no-deps --require-hashes -r requirements/$(1).txt; \
then uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .; \
else $(BIN) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements/$(1).txt && \
     $(BIN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; fi
endef

# $(call compile,EXTRA): one lock for all platforms and Python versions.
define compile
$(BIN) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" --group build --extra $(1) --output-file requirements/$(1).txt
endef
