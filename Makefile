# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOR ?=
SPEED ?=
DEMO_FLAGS ?=
WORKERS ?= 2

.PHONY: demo test lint types contracts check bench kafka kafka-stop install clean help

help:  ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo  ## Run everything on this machine; FOR=90 runs headless for 90 s, SPEED=3600 sets the pace
	@$(BIN)/monitor demo $(if $(FOR),--for $(FOR)) $(if $(SPEED),--speed $(SPEED)) $(DEMO_FLAGS)

test: $(VENV)/.dev  ## Install what is needed and run every test that this machine can run, WORKERS=2 files at a time
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

install: $(VENV)/.dev  ## Install for development

lint: $(VENV)/.dev  ## Style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## Static types
	$(BIN)/mypy

contracts: $(VENV)/.dev  ## Which module may import which
	$(BIN)/lint-imports

check: lint types contracts test  ## Everything that a change must pass

bench: $(VENV)/.dev  ## Measure: ratios against a peer in the same run
	@for file in tests/benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

kafka: $(VENV)/.dev  ## Start a real one-node Apache Kafka on 127.0.0.1:9092
	@$(BIN)/python deploy/kafka/local.py start

kafka-stop: $(VENV)/.dev  ## Stop it
	@$(BIN)/python deploy/kafka/local.py stop

clean:  ## Remove the environment, caches and state
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "monitor needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make a virtual environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }

$(VENV)/.demo: $(VENV)/bin/pip pyproject.toml
	@echo "Installing into $(VENV): about 3 GB with PyTorch, some minutes the first time ..."
	@$(BIN)/pip install -q --disable-pip-version-check -e . || \
	  { echo "The installation failed, see above; mend it and run the same command again" >&2; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/bin/pip pyproject.toml
	@echo "Installing into $(VENV): about 3 GB with PyTorch, some minutes the first time ..."
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]' || \
	  { echo "The installation failed, see above; mend it and run the same command again" >&2; exit 1; }
	@touch $@ $(VENV)/.demo
