# The two commands that matter: `make up` and `make test`. Both do all their own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: help setup lab-setup package-cache parts ollama up down test lint unit drill bench lock web lab
# Independent steps of set-up run beside each other, each one's words in one piece.
TOGETHER := $(MAKE) --no-print-directory --jobs --output-sync=target

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## Install what one machine needs: Python packages, Debian packages
	@scripts/setup.sh

lab-setup: ## Install what the six-VM lab needs as well: its VMs have no internet
	@scripts/setup.sh lab
	@$(TOGETHER) package-cache parts

package-cache: setup
	@$(PYTHON) -m autobot.cluster.package_cache

parts: setup
	@$(PYTHON) -m tests.parts

ollama: setup ## Obtain a real Ollama server: an installed one, or built where there is Go
	@scripts/ollama.sh || [ $$? = 3 ] # a machine that cannot have one is told so; its tests skip

up: setup ## Start the whole platform on this machine and show its main job once
	@$(VENV)/bin/autobot up

down: ## Stop it; its data stays
	@$(VENV)/bin/autobot down

lint: setup ## Formatting, lint, types, import rules
	$(VENV)/bin/ruff format --check autobot deployments tests scripts
	$(VENV)/bin/ruff check autobot deployments tests scripts
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

web: setup ## Build and check the web interface
	$(PYTHON) -m autobot.platform.web_build test

test: ## Every test: lint, web, unit, contract, browser, the lab
	@scripts/setup.sh lab
	@$(TOGETHER) package-cache parts ollama lint web
	$(PYTHON) -m pytest -m "not drill"

unit: setup ## The quick tests only
	$(PYTHON) -m pytest tests/unit

drill: lab-setup ## The long soak and failure drills
	$(PYTHON) -m pytest -m drill

bench: setup ## Every figure as a ratio against a floor measured in the same run
	@scripts/setup.sh bench
	$(PYTHON) -m tests.benchmarks

lock: ## Write locks/ for what pyproject.toml asks; ARGS=--upgrade takes newer versions
	PATH=$(CURDIR)/$(VENV)/bin:$$PATH $(PYTHON) scripts/lock.py $(ARGS)

lab: lab-setup ## Boot six VMs on this machine, for `ray up cluster.yaml` to be tried on
	@$(VENV)/bin/autobot lab up
