# `make` alone lists what there is. Everything lands in .venv, web/node_modules and var/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
VAR ?= var
MEMBERS := shared services/api services/sync-worker services/gateway demo
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	--no-emit-package postwire --custom-compile-command 'make lock'

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

# The stamp holds what was installed: a changed lock installs again, an unchanged one costs nothing.
.venv/installed: requirements-dev.txt $(MEMBERS:=/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Postwire needs Python 3.11 or newer; say which with: make PYTHON=python3.12 …"; exit 1; }
	@echo "Installing the Python packages into .venv …"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip --disable-pip-version-check install -q --no-deps --require-hashes -r requirements-build.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync -q --require-hashes requirements-dev.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --no-deps --no-build-isolation $(addprefix -e ,$(MEMBERS))
	@touch $@

.PHONY: setup
setup: .venv/installed ## Install what Python needs into .venv

.PHONY: demo
demo: setup ## Run all of Postwire here, with mail arriving; its data is kept in var/
	@exec $(BIN)/python -m postwire_demo "$(VAR)" web

.PHONY: web
web: setup ## Build the inbox page into web/dist
	@mkdir -p "$(VAR)/log"
	@exec $(BIN)/python -m postwire_demo.page web "$(VAR)/log/web.log"

.PHONY: check
check: lint test ## Format, lint, types, import contracts and tests: what every commit passes

.PHONY: lint
lint: web secrets ## Format, lint, types and import contracts, without the tests
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | tail -n 1
	$(BIN)/python -m postwire_demo.node web run check

.PHONY: test
test: web test-tools ## Set up and run all tests, on real servers and in a real browser
	$(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal $(PYTEST)

# What is no wheel comes from apt where this may be done; else the tests that need it say so.
.PHONY: test-tools
test-tools:
	@tests/install-tools

# What is measured against lies beside all else: no test needs it.
.venv/bench: .venv/installed requirements-bench.txt bench/peers/package-lock.json
	@echo "Installing what is measured against …"
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --require-hashes -r requirements-bench.txt
	@# As the images do.
	@$(BIN)/python -m compileall -q .venv/lib $(MEMBERS)
	@$(BIN)/python -m postwire_demo.node bench/peers ci --no-audit --no-fund --ignore-scripts
	@touch $@

# ONLY= is one or more of the modules of bench/; the others' figures stay.
.PHONY: bench
bench: web .venv/bench ## Measure all beside its peers, in half an hour; draw docs/benchmarks.md (ONLY=)
	@tests/install-tools bench
	@PYTHONPATH=tests exec $(BIN)/python -m bench $(ONLY)

# SEED= draws one and prints it first; MINUTES= is how long faults go on.
.PHONY: chaos
chaos: web test-tools ## Let faults rain on the whole system, then see whether all mail is there (SEED=, MINUTES=)
	@PYTHONPATH=tests exec $(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) --logs "$(VAR)/chaos"

# FROM= is the commit or tag of the older release; MINUTES= is how long all rests between the steps.
.PHONY: update
update: setup test-tools ## Update all of Postwire from an older release while mail arrives (FROM=, MINUTES=)
	@PYTHONPATH=tests exec $(BIN)/python -m chaos.update $(if $(FROM),--from $(FROM)) $(if $(MINUTES),--minutes $(MINUTES)) --logs "$(VAR)/update"

.PHONY: secrets
secrets: web ## Look for secrets that were committed by mistake
	@$(BIN)/python -m postwire_demo.node web run -s secrets

# Asks PyPI and npm what they know today, so it is no part of the check of a commit.
.PHONY: audit
audit: web ## Ask whether anything we depend on has a known weakness
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.txt -r requirements-dev.txt
	@$(BIN)/python -m postwire_demo.node web audit

.PHONY: sbom
sbom: web ## List what the images are made of, as CycloneDX, in var/sbom
	@mkdir -p "$(VAR)/sbom"
	$(BIN)/cyclonedx-py requirements requirements.txt --output-reproducible -o "$(VAR)/sbom/python.cdx.json"
	@$(BIN)/python -m postwire_demo.node web sbom -s --omit=dev --package-lock-only --sbom-format=cyclonedx >"$(VAR)/sbom/web.cdx.json"

# MINUTES= is how long each of them; what was found to lead further is kept in var/fuzz.
.PHONY: fuzz
fuzz: setup ## Look for input that a parser breaks on (MINUTES=, TARGET=imap|mime|event|token|html)
	@for target in $(or $(TARGET),imap mime event token html); do \
		PYTHONPATH=tests $(BIN)/python -m fuzz $$target --minutes $(or $(MINUTES),2) --corpus "$(VAR)/fuzz"; \
	done

.PHONY: fmt
fmt: setup ## Format the Python code
	$(BIN)/ruff check -q --fix --exit-zero .
	$(BIN)/ruff format -q .

.PHONY: docs
docs: setup ## Make anew what is made of code: pages of docs/, dashboards, the PrometheusRule
	$(BIN)/python docs/make_configuration.py >docs/configuration.md
	$(BIN)/python docs/make_metrics.py >docs/metrics.md
	$(BIN)/python deploy/monitoring/make.py deploy/monitoring

.PHONY: lock
lock: setup ## Resolve the dependencies anew and pin them by hash
	$(COMPILE) $(filter-out demo/%,$(MEMBERS:=/pyproject.toml)) -o requirements.txt
	$(COMPILE) $(MEMBERS:=/pyproject.toml) --group build --group tools --group tests -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group build -c requirements-dev.txt -o requirements-build.txt
	$(COMPILE) --group bench -c requirements-dev.txt -o requirements-bench.txt
