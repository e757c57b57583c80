# Each target does all set-up it needs; Python 3.11 to 3.14 is enough to begin with.
# Relative paths only and tools as modules: the folder's name may hold a space.

PYTHON_IN_VENV := .venv/bin/python
COMPILE_LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
UV := uv
# The tests start hundreds of processes; without bytecode each compiles what it imports: 8 s of CPU, not 2 (measured).
unexport PYTHONDONTWRITEBYTECODE
# Two processes; a file stays in one of them: its servers are started once, and its lanes are its own.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-slow test-long test-exhaustive check lock parts sbom pin-images clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

demo: .venv/.demo ## the incident and a load with faults, from the callback to books that agree, replayed on this machine
	@$(PYTHON_IN_VENV) -m console demo

dev: .venv/.demo ## the whole product with simulators on this machine, until Ctrl-C
	@$(PYTHON_IN_VENV) -m console dev

test: .venv/.dev parts ## within minutes: what a change must keep, on real PostgreSQL, Kafka, mosquitto and Temporal
	@$(PYTHON_IN_VENV) -m pytest $(SHARED) -m "not slow and not long and not exhaustive" $(ARGS)

test-slow: .venv/.dev parts ## the tests of some seconds each, as continuous integration runs them after `make test`
	@$(PYTHON_IN_VENV) -m pytest $(SHARED) -m "slow and not long and not exhaustive" $(ARGS)

test-long: .venv/.dev parts ## the same at length: plans, matrices, storms, walks through every state, wrong products
	@$(PYTHON_IN_VENV) -m pytest -m "long and not exhaustive" $(ARGS)

test-exhaustive: .venv/.dev ## every state that one order can get into, for the better part of an hour; after a change of orders/
	@$(PYTHON_IN_VENV) -m pytest -m exhaustive --timeout 7200 $(ARGS)

check: .venv/.dev ## static checks: lint, format, types, import contracts
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m pyright
	$(PYTHON_IN_VENV) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

# A file stays in one process; `ARGS="-n 0 tests/orders"` runs some in one.
# A part that could not be had is no failure here: the tests name it at their end, and fail under CI=true.
parts: .venv/.dev ## real servers for the tests, unpacked into .parts/ where they are not installed
	@$(PYTHON_IN_VENV) -m devkit.servers fetch || true

# Two files, because the demo needs neither test tools nor a JRE: 60 MB and 9 s less (measured).
lock: ## lock files from pyproject.toml (needs uv; UPGRADE=--upgrade takes the newest versions)
	$(UV) $(COMPILE_LOCK) $(UPGRADE) pyproject.toml --extra local --group dev -o requirements.lock
	$(UV) $(COMPILE_LOCK) pyproject.toml scripts/build-requirements.in --extra local -c requirements.lock -o requirements-demo.lock
	$(UV) $(COMPILE_LOCK) pyproject.toml -c requirements.lock -o deploy/requirements-run.lock
	$(UV) $(COMPILE_LOCK) deploy/requirements-build.in -c requirements-demo.lock -o deploy/requirements-build.lock

sbom: .venv/.dev ## what the production image holds: a CycloneDX bill of materials and a list of licences, in dist/
	@mkdir -p dist
	@$(PYTHON_IN_VENV) scripts/sbom.py deploy/requirements-run.lock > dist/sbom.cdx.json
	@$(PYTHON_IN_VENV) scripts/sbom.py --licences deploy/requirements-run.lock > dist/licences.txt
	@echo "dist/sbom.cdx.json and dist/licences.txt"

pin-images: .venv/.dev ## write each image's digest beside its tag, in Compose file and Dockerfile (needs docker and a network)
	@$(PYTHON_IN_VENV) scripts/pin_images.py

clean: ## remove the virtual environment, unpacked parts and caches; .topup/, the data of `make dev`, stays
	rm -rf .venv .parts .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.demo: requirements-demo.lock pyproject.toml scripts/venv
	@sh scripts/venv requirements-demo.lock --project
	@touch $@

.venv/.dev: requirements.lock .venv/.demo
	@sh scripts/venv requirements.lock
	@touch $@
