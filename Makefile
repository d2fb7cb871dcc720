# Two commands matter: `make up` runs Interplay, `make test` tests it. Both set up what they need
# first. VENV=DIR puts the environment elsewhere; every target honours it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
EXTRAS ?= dev
PYTEST_ARGS ?=

# The stamp's name holds a digest of what decides the environment: nothing to do until that changes.
STAMP = $(VENV)/.interplay-$(EXTRAS)-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
BASELINE = protos/baseline.binpb

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Make the environment in VENV (default .venv), with the exact versions of constraints.txt
	@echo "ready: $(BIN)/interplay --help"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] < (3, 13) else \
	    f"Interplay needs Python 3.11 or 3.12, and $(PYTHON) is {v[0]}.{v[1]}; run: make setup PYTHON=python3.11")'
	@echo "setting up $(VENV) (about 6 GB, most of it PyTorch; a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
	    --constraint constraints.txt --editable '.[$(EXTRAS)]' 2>&1 | tee $(VENV)/setup.log | awk ' \
	    /^Collecting / {n++; if (n % 25 == 0) {print "  " n " packages found"; fflush()}} \
	    /^ *Downloading .*\([0-9][0-9]+\.[0-9]+ MB\)/ {sub(/^ */, "  "); print; fflush()} \
	    /^Installing collected/ {print "  installing"; fflush()} /^(ERROR|error)/ {print; fflush()}' \
	    || { echo "pip failed; its last lines ($(VENV)/setup.log has all):"; tail -n 20 $(VENV)/setup.log; exit 1; }
	@# opencv-python needs the system's libGL, which servers lack; the headless build is the same code without windows.
	@if ls $(VENV)/lib/python*/site-packages/cv2 >/dev/null 2>&1 && ! $(BIN)/python -c 'import cv2' 2>/dev/null; then \
	    echo "  no libGL on this machine: taking OpenCV's headless build"; \
	    $(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	        "opencv-python-headless==$$(sed -n 's/^opencv-python==//p' constraints.txt)"; fi
	@rm -f $(VENV)/.interplay-* && touch $@

.PHONY: up
up: $(STAMP) ## Run everything on this machine; ARGS="--port 9000" and such are passed on
	@exec $(BIN)/interplay up $(ARGS)

.PHONY: down
down: $(STAMP) ## Stop what `make up` runs in another terminal; ARGS="--data-dir DIR" as given there
	@$(BIN)/interplay down $(ARGS)

.PHONY: test
test: $(STAMP) ## All checks and all tests: stubs, contract, layers, pytest
	@$(MAKE) --no-print-directory check-protos check-layers
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: $(STAMP) ## The tests that take seconds
	@$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

.PHONY: lint
lint: $(STAMP) ## Style, types, layers, protos
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@$(MAKE) --no-print-directory check-layers check-protos

.PHONY: format
format: $(STAMP) ## Write the house style
	@$(BIN)/ruff check --fix --quiet && $(BIN)/ruff format

.PHONY: check-layers
check-layers: $(STAMP) ## Imports flow one way
	@$(BIN)/lint-imports --no-cache

.PHONY: protos
protos: $(STAMP) ## Write the gRPC stubs from protos/
	@$(BIN)/python protos/generate.py

.PHONY: check-protos
check-protos: $(STAMP) ## Stubs match the protos; buf's lint; nothing breaks the published contract
	@$(BIN)/python protos/generate.py --check
	@cd protos && $(abspath $(BIN))/buf lint
	@cd protos && $(abspath $(BIN))/buf breaking --against $(notdir $(BASELINE))

.PHONY: protos-baseline
protos-baseline: $(STAMP) ## Publish the protos as they are: later changes are checked against this
	@cd protos && $(abspath $(BIN))/buf build --as-file-descriptor-set -o $(notdir $(BASELINE)) && echo "wrote $(BASELINE)"

.PHONY: openapi
openapi: $(STAMP) ## Write docs/openapi.json from the gateway
	@$(BIN)/python -m gateway.openapi

.PHONY: deploy
deploy: $(STAMP) ## Write what lists capabilities in docker-compose.yml, k8s/ and deploy/, and the dashboards
	@$(BIN)/python -m deploy.generate

.PHONY: docs
docs: openapi ## Write what is generated in docs/: the OpenAPI description and the configuration page
	@$(BIN)/python docs/configuration.py

.PHONY: smoke
smoke: $(STAMP) ## Train a tiny model from nothing to an exported version, under a minute on a CPU
	@$(BIN)/python -m training.text_detection.train --smoke

.PHONY: bench
bench: $(STAMP) ## Measure serving speed and quality of the shipped models (see benchmarks/README.md)
	@$(BIN)/python -m benchmarks.serving $(ARGS)

.PHONY: doctor
doctor: $(STAMP) ## What is missing on this machine, and how to mend it
	@$(BIN)/interplay doctor

.PHONY: package
package: $(STAMP) ## Build the wheel into dist/ and check that installed packages agree
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@$(BIN)/python -m pip check
	@ls dist

.PHONY: clean
clean: ## Remove caches and builds; the environment and the state stay
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
