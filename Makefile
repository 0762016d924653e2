# One verb each; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
PY := $(BIN)/python
PYTEST := $(PY) -m pytest -n 2 --dist loadfile
# Modules are compiled once, whatever the caller wants of Python elsewhere: every test starts dozens of programs in it.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export INFOGERANCE_LAB_HOME ?= $(CURDIR)/.lab
ARGS ?=

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what the lab and the tests need
	@MAKE_GOAL=$(firstword $(MAKECMDGOALS)) tools/setup.sh

.PHONY: demo
demo: setup ## The whole contract in the lab: create six servers, configure them twice, show the table
	@$(PY) -m lab.demo $(ARGS)

.PHONY: converge
converge: setup ## Run site.yml on the live lab (ARGS='--check --diff --limit web01')
	@$(BIN)/ansible-playbook -i inventories/lab site.yml $(ARGS)

.PHONY: provision
provision: setup ## Create or grow the estate's servers in the live lab (ARGS='--check --diff')
	@$(BIN)/ansible-playbook -i inventories/lab playbooks/provision.yml $(ARGS)

.PHONY: lab-up
lab-up: setup ## Start the lab
	@$(PY) -m lab up

.PHONY: lab-down
lab-down: setup ## Stop the lab and keep its state
	@$(PY) -m lab down

.PHONY: test
test: setup ## Everything: lint, sanity, unit, Molecule of every role, integration
	@$(PY) tools/test.py

.PHONY: lint
lint: setup ## Style and types, at their strictest
	@tools/lint.sh

.PHONY: sanity
sanity: setup ## ansible-test sanity, without an ignore file
	@tools/sanity.sh

.PHONY: unit
unit: setup ## Unit tests with the plugins' coverage (ARGS='-k inventory': those alone, without coverage)
ifeq ($(ARGS),)
	@# Tracing doubles the time of a test: only those of the plugins are traced that try no hundred examples (tests/unit/conftest.py).
	@failed=0; \
	$(PYTEST) tests/unit/plugins -m traced --cov --cov-report=term:skip-covered --cov-fail-under=90 || failed=1; \
	$(PYTEST) tests/unit -m 'not traced' || failed=1; \
	exit $$failed
else
	@$(PYTEST) $(ARGS)
endif

.PHONY: molecule
molecule: setup ## Molecule scenarios (ROLE=wordpress for one role's)
	@$(PY) tools/molecule.py $(ROLE)

.PHONY: integration
integration: setup ## Whole playbooks in a lab of their own
	@$(PY) -m pytest tests/integration -x $(ARGS)

.PHONY: bench
bench: setup ## Figures, as ratios of one run
	@$(PY) -m benchmarks $(ARGS)

.PHONY: readme
readme: setup ## Write the tables of the roles' READMEs, and the README's counted figure
	@$(PY) tools/roles.py --write
	@$(PY) tools/figures.py --write

.PHONY: build
build: setup ## Build the collection's archive into build/
	@$(BIN)/ansible-galaxy collection build --force --output-path build

.PHONY: clean
clean: ## Leave nothing behind: no container, process, mount, address or namespace of the lab
	@if [ -x $(PY) ]; then $(PY) -m lab down --all --purge; fi
	@rm -rf .lab .cache .ansible build tests/output .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
	@find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: ## The same, and the virtual environment, the downloads and podman's images of the lab
	@if [ -x $(PY) ]; then $(PY) -m lab down --all --purge --images; fi
	@$(MAKE) --no-print-directory clean
	@rm -rf .venv .collections $${XDG_CACHE_HOME:-$$HOME/.cache}/cnosf-infogerance
