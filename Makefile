# Needs Python 3.11 or newer and make; everything else is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST_ARGS ?=
SEED ?= 1
PIN := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help demo test soak fuzz browser-test infra-test infra-story lint format requirements scale bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## Make tiles on this machine, from generated scenes, without any account
	@$(BIN)/sandbox demo

test: $(INSTALLED) ## Run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

browser-test: $(INSTALLED) ## Open a report in a browser (needs chromium)
	@$(BIN)/python -m pytest tests/test_report_browser.py $(PYTEST_ARGS)

infra-test: $(INSTALLED) ## Run the tests of the Terraform configuration (TTC_TERRAFORM_MIRROR: a folder with its provider)
	@$(BIN)/python -m pytest tests/test_terraform.py $(PYTEST_ARGS)

infra-story: $(INSTALLED) ## Apply the Terraform configuration to a local AWS, and run a request through it (minutes)
	@TTC_INFRA_STORY=1 $(BIN)/python -m pytest tests/test_deployed_story.py $(PYTEST_ARGS)

soak: $(INSTALLED) ## Let a storm of faults pass over 2,000 tasks (SEED=7 draws the same faults again)
	@$(BIN)/python -m tests.faults.soak --tasks 2000 --seed $(SEED)

fuzz: $(INSTALLED) ## Feed all that comes from outside with nonsense, at random (SEED=7 draws the same again)
	@seed=$(if $(filter file,$(origin SEED)),$$(date +%s),$(SEED)); echo "SEED=$$seed"; \
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest --hypothesis-seed=$$seed --timeout=7200 -n 2 \
	tests/faults/test_task_model.py tests/faults/test_fuzz_*.py $(PYTEST_ARGS)

lint: $(INSTALLED) ## Check style, types and infrastructure
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@infra/lint.sh $(BIN)

format: $(INSTALLED) ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

scale: $(INSTALLED) ## Send a million tiles, killed in the middle and resumed: speed, memory, nothing lost
	@$(BIN)/python -m benchmarks.scale

bench: $(INSTALLED) ## Measure the readers side by side and write docs/benchmarks.md (a quarter of an hour)
	@$(BIN)/python -m benchmarks.bench

requirements: ## Pin the requirements anew (needs uv): all of them, and those of the Lambda image
	$(PIN) --extra dev pyproject.toml -o requirements/dev.txt
	$(PIN) --extra image -c requirements/dev.txt pyproject.toml -o requirements/image.txt

clean: ## Remove what make and the sandbox made
	rm -rf $(VENV) .sandbox .pytest_cache .mypy_cache .ruff_cache .hypothesis
