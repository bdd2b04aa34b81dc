# Every target sets up what it needs; `make` alone lists them.
# VENV=dir puts the virtual environment elsewhere, PYTHON=name chooses the interpreter,
# ARGS='-k name' is handed on to pytest.

VENV ?= .venv
ARGS ?=
DURATION ?= 60
BIN := $(VENV)/bin
export PYTHON

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.ready-dev ## create .venv with everything that tests and checks need

.PHONY: demo
demo: $(VENV)/.ready ## watch gigqd do its whole job on real files, in under a minute
	$(BIN)/python examples/demo.py

.PHONY: test
test: $(VENV)/.ready-dev ## run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

.PHONY: soak
soak: $(VENV)/.ready-apps ## run the fault scenarios that take minutes
	$(BIN)/python -m pytest -n 2 --dist worksteal -m soak $(ARGS)

.PHONY: torture
torture: $(VENV)/.ready ## torture a daemon for DURATION seconds; SEED=n replays its faults
	PYTHONPATH=tests $(BIN)/python -m torture --duration $(DURATION) $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: $(VENV)/.ready ## measure gigq beside its peers; QUICK=1, PEERS=a,b, SCENARIOS=a,b, OUT=dir
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(PEERS),--peers $(PEERS)) \
		$(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(OUT),--out $(OUT))

.PHONY: systemd-test
systemd-test: $(VENV)/.ready ## boot systemd in a container and run gigqd there (needs root)
	tests/systemd/boot

.PHONY: mutants
mutants: $(VENV)/.ready-dev ## break each guard on purpose in a copy and see a test notice (some minutes)
	$(BIN)/python tools/break-on-purpose $(ARGS)

.PHONY: check
check: $(VENV)/.ready-dev ## check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second call cheap: the project is installed again only after pyproject.toml changed.
$(VENV)/.ready: pyproject.toml
	@sh tools/make-venv $(VENV)
	@touch $@

$(VENV)/.ready-dev: pyproject.toml
	@sh tools/make-venv $(VENV) '[dev]'
	@touch $@ $(VENV)/.ready

$(VENV)/.ready-apps: pyproject.toml
	@sh tools/make-venv $(VENV) '[dev,apps]'
	@touch $@ $(VENV)/.ready-dev $(VENV)/.ready
