# Every target sets up what it needs; `make` alone lists them.
# VENV=dir puts the virtual environment elsewhere, PYTHON=name chooses the interpreter,
# ARGS='-k name' is passed to pytest, which runs JOBS tests at a time: more than there are
# cores, because many tests wait for daemons. The tests of test-quick do not: QUICK_JOBS of them.
# Without compiled files each of the daemons that tests start would compile all modules again.

VENV ?= .venv
ARGS ?=
DURATION ?= 60
JOBS ?= 6
QUICK_JOBS ?= 3
QUICK_TESTS := tests/unit tests/store tests/library tests/cli
BIN := $(VENV)/bin
export PYTHON
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.ready-dev ## create .venv with everything that tests and checks need

.PHONY: demo
demo: $(VENV)/.ready ## watch gigqd do its whole job on real files, in under a minute
	$(BIN)/python examples/demo.py

.PHONY: test
test: $(VENV)/.ready-dev ## run the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: test-quick
test-quick: $(VENV)/.ready-dev ## run the tests of rules, store, library and commands, in about a minute
	$(BIN)/python -m pytest -n $(QUICK_JOBS) --dist worksteal $(QUICK_TESTS) $(ARGS)

.PHONY: coverage
coverage: $(VENV)/.ready-dev ## run the whole suite and report which lines it has run (slower)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: soak
soak: $(VENV)/.ready-apps ## run what takes minutes: fault scenarios, large numbers, many random examples
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'soak or hypothesis' \
		--hypothesis-profile=soak --timeout=3600 $(ARGS)

.PHONY: torture
torture: $(VENV)/.ready ## torture a daemon for DURATION seconds; SEED=n replays its faults; DATABASE=postgres
	PYTHONPATH=tests $(BIN)/python -m torture --duration $(DURATION) $(if $(SEED),--seed $(SEED)) \
		$(if $(DATABASE),--database $(DATABASE))

.PHONY: torture-hosts
torture-hosts: $(VENV)/.ready-dev ## torture three hosts and their network (needs root); DURATION, SEED=n, POOLER=1
	PYTHONPATH=tests $(BIN)/python -m torture.hosts --duration $(DURATION) $(if $(SEED),--seed $(SEED)) \
		$(if $(POOLER),--pooler)

.PHONY: bench
bench: $(VENV)/.ready ## measure gigq beside its peers; QUICK=1, PEERS=a,b, SCENARIOS=a,b, OUT=dir
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(PEERS),--peers $(PEERS)) \
		$(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(OUT),--out $(OUT))

.PHONY: bench-postgres
bench-postgres: $(VENV)/.ready-dev ## measure gigq on PostgreSQL beside its peers, in 10 minutes; as bench
	$(BIN)/python -m bench --postgres $(if $(QUICK),--quick) $(if $(PEERS),--peers $(PEERS)) \
		$(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(OUT),--out $(OUT))

.PHONY: systemd-test
systemd-test: $(VENV)/.ready-dev ## boot systemd in a container and run gigqd there (needs root)
	tests/systemd/boot

.PHONY: mutants
mutants: $(VENV)/.ready-dev ## break each guard on purpose in a copy and see a test notice (some minutes)
	$(BIN)/python tools/break-on-purpose $(ARGS)

.PHONY: check
check: $(VENV)/.ready-dev ## check format, lint, types, import contracts and words
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check-words gigq gigqd tests tools etc systemd examples docs README.md CHANGELOG.md CONTRIBUTING.md

.PHONY: check-docs
check-docs: $(VENV)/.ready-dev ## check that the documents say what the code does, run their examples, build the site
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m docs $(ARGS)

.PHONY: reference
reference: completions ## write everything that is generated: docs/reference, docs/man, lists, completions
	PYTHONPATH=tools $(BIN)/python -m reference
	$(BIN)/python tools/update-module-list

.PHONY: site
site: $(VENV)/.ready-dev ## build the site of the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: dist
dist: $(VENV)/.ready-dev ## build the wheel and the source distribution into dist/
	$(BIN)/python -m hatchling build

.PHONY: completions
completions: $(VENV)/.ready-dev ## write the completions for bash, zsh and fish from the parsers
	$(BIN)/python tools/completions.py

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf .venv build dist .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
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
