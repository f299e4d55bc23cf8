# `make` alone lists the targets. A line that ends in `## ...` is one of them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Which workspace `make ui` shows: this one, or WORKSPACE=var/demo.
WORKSPACE ?= .
PORT ?= 5000

bin := .venv/bin
python := $(bin)/python
ready := .venv/ready

# Stages and tests start Python many times: bytecode is kept. Nothing is sent anywhere.
unexport PYTHONDONTWRITEBYTECODE
export PYTHON
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# What a tool starts by name (dvc, git hooks) is the one in .venv.
export PATH := $(CURDIR)/$(bin):$(PATH)

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(ready): requirements.lock pyproject.toml .ci/setup
	@.ci/setup
ifdef PYTHON
.PHONY: $(ready)
endif

.PHONY: setup
setup: $(ready) ## Make .venv from requirements.lock and install retrim in it; every other target does so when needed.
	@:

.PHONY: demo
demo: $(ready) ## Replay two real years of bike trips: land, check, retrain when it pays, judge, promote (about 10 minutes on 2 cores).
	@$(bin)/retrim demo

# Which tests `make test` runs.
usual := not drill and not browser and not e2e
.PHONY: test
test: $(ready) ## Run the tests but for the longest whole runs, which `make e2e` has.
	@$(python) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "$(usual)"

.PHONY: nightly
nightly: $(ready) ## Apply every mutant, then run the tests of `make test` with the coverage of the pure folders (long).
	@$(python) -m tests.mutants.run -n 2
	@$(python) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "$(usual)" --cov --cov-report=term --cov-fail-under=95

# The folders of pure code, and the structure: layers, stages, links.
quick := architecture batches card decision drift features gate lineage mutants profile reading stats table training
.PHONY: quick
quick: $(ready) ## Run the tests of the pure folders and of the structure, but for those that take half a second (a minute).
	@$(python) -m pytest -q -n 2 --dist loadfile -m "not server and not slow and not drill" $(addprefix tests/,$(quick)) tests/test_*.py

.PHONY: check
check: $(ready) ## Lint, formatting, types and import contracts.
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --quiet --check .
	@$(python) -m mypy --no-error-summary
	@$(python) -m mypy --no-error-summary --config-file .ci/bench.ini
	@$(bin)/lint-imports --no-logo

.PHONY: docs
docs: $(ready) ## Build the site of the documents and the reference into site/, with search; its links are checked.
	@.ci/docs

.PHONY: audit
audit: $(ready) ## Look for secrets in the code and for known vulnerabilities of the locked packages; STRICT=1 fails if it cannot look.
	@STRICT=$(STRICT) .ci/audit

.PHONY: sbom
sbom: $(ready) ## Write the parts list of a release, CycloneDX, to var/sbom.json; needs no network.
	@mkdir -p var
	@PYTHONWARNINGS=ignore $(bin)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type library --output-reproducible -o var/sbom.json requirements.lock

.PHONY: format
format: $(ready) ## Format the code and mend what lint can mend by itself.
	@$(bin)/ruff check --quiet --fix . || true
	@$(bin)/ruff format --quiet .

# Where there is no .venv, the retrim on the PATH shows the pages, and nothing is installed.
retrim := $(firstword $(wildcard $(CURDIR)/$(bin)/retrim) $(shell command -v retrim))

.PHONY: ui
ui: $(if $(retrim),,$(ready)) ## Open the pages of this workspace, its status and MLflow; WORKSPACE=var/demo shows the demo, PORT=5000 the port.
	@test -d $(WORKSPACE) || { echo "retrim: $(WORKSPACE) does not exist: nothing was run there yet; try make demo, then make ui WORKSPACE=var/demo" >&2; exit 2; }
	@cd $(WORKSPACE) && exec $(or $(retrim),$(CURDIR)/$(bin)/retrim) up --only ui --port $(PORT)

.PHONY: e2e
e2e: $(ready) ## Run whole loops with real tools: kills, rebuilds, upgrades, the page in Chromium, the wheel in an empty environment (22 minutes on 2 cores).
	@$(python) -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "(e2e or browser) and not drill"

.PHONY: drills
drills: $(ready) ## Kill runs everywhere in their life and see each recovered (long).
	@$(python) -m pytest -m drill

.PHONY: drill-restore
drill-restore: $(ready) ## Back up a workspace, wipe it, restore it elsewhere and prove its champion; prints recovery time and point (minutes).
	@rm -rf var/drill-restore && mkdir -p var/drill-restore && $(python) -m tests.builders.restoring $(CURDIR)/var/drill-restore

.PHONY: gameday
gameday: $(ready) ## Inject faults into a copy of WORKSPACE and print what still worked; ONLY=disk takes some (minutes).
	@$(python) deploy/gameday.py $(WORKSPACE) $(if $(ONLY),--only "$(ONLY)")

.PHONY: capacity
capacity: $(ready) ## Measure a copy of WORKSPACE and estimate the machine for LOAD="--models 20 --rows 100000 --requests 50".
	@$(python) deploy/capacity.py $(WORKSPACE) $(LOAD)

# How long each state machine draws anew.
MINUTES ?= 10
.PHONY: stateful
stateful: $(ready) ## Draw random tests anew, which `make test` never does; each state machine (rows, labels, checks, kills; changed tables) for MINUTES=10.
	@$(python) -m pytest -q -n 2 --dist loadfile tests/stateful --minutes $(MINUTES)
	@$(python) -m pytest -q -n 2 --dist loadfile --hypothesis-profile=anew -m "not server and not drill" \
		$$(grep -rlE '^(from|import) hypothesis' tests --include='test_*.py' --exclude-dir=stateful)

# Which mutants: those whose title, code or guard holds a word, as in MUTANTS=probation.
MUTANTS ?=
.PHONY: mutants
mutants: $(ready) ## Apply every mutant (a known mistake) to a copy of the tree and see its guard fail (long); MUTANTS=probation takes some.
	@$(python) -m tests.mutants.run -n 2 $(MUTANTS)

.PHONY: lives
lives: $(ready) ## Play whole lives on made tables with a known truth: eight worlds, twenty seeds, 52 checks each (hours).
	@$(python) bench/lives.py

.PHONY: bench
bench: $(ready) ## Measure the overhead beyond the bare script (long).
	@$(python) bench/overhead.py

.PHONY: lock
lock: ## Compile requirements.lock and .ci/docs.lock, for Python 3.11 to 3.13, with hashes.
	@.ci/lock

.PHONY: clean
clean: ## Remove caches and .venv; var/ (your models and data) stays.
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	@find src flows tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
