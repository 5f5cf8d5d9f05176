# `make` lists the targets. Everything runs in an environment of its own, made when it is missing.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
# The accelerator chosen last stays: `make repro` does not undo ACCELERATOR=gpu.
ACCELERATOR ?= $(if $(wildcard $(VENV)/.complete-gpu),gpu,cpu)
ifeq ($(filter $(ACCELERATOR),cpu gpu),)
$(error ACCELERATOR is "$(ACCELERATOR)"; expected cpu or gpu)
endif
# Groups of pyproject.toml that `make setup` adds; an environment keeps those it has.
WITH ?=
export VENV ACCELERATOR

# Stages call plain `python`, and DVC's workers inherit this environment.
export PATH := $(abspath $(VENV))/bin:$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export VLLM_NO_USAGE_STATS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Without bytecode every process, and each stage is one, would compile its libraries again.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help setup environment test-environment repro plan experiment view-pairs export push bench docs test test-fast test-nightly fuzz audit lint format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: ## make the environment in .venv (once; 1 to 3 minutes). WITH="cluster s3" adds groups; on a GPU: ACCELERATOR=gpu
	@tools/environment.sh sync $(WITH)
	@echo "set-up: $(VENV) is complete"

environment:
	@tools/environment.sh sync

test-environment:
	@tools/environment.sh sync cluster fuzz s3 tests

repro: environment ## run the pipeline (only what changed) and print the scores
	@python -m delta check
	@python -m delta repair-dvc
	dvc repro
	@python -m delta summary

plan: environment ## what `make repro` would run, request and cost; runs nothing (GPU="--gpu-gib 141")
	@python -m delta repair-dvc
	@python -m delta plan $(GPU)

experiment: environment ## run a table or figure as DVC experiments: NAME=figure-1, or all; JOBS=2 side by side
	@python -m delta experiment $(NAME) --jobs $(or $(JOBS),1)

view-pairs: environment ## write the selected pairs as a page: report/pairs/index.html
	@python -m delta view-pairs

export: environment ## write the selected pairs as a dataset with its card to export/ (uploads nothing)
	@python -m delta export

push: environment ## push the outputs to a DVC remote (REMOTE=name); completes a push that was killed
	@python -m delta repair-dvc
	@python -m delta push $(if $(REMOTE),--remote $(REMOTE))

# One after the other, on a machine that does nothing else: an hour, and gigabytes of temporary tables.
BENCHES := requests_per_second generation_throughput grading_throughput pair_selection training dvc_noop experiment_start page_load memory scale
bench: test-environment ## measure against other libraries, in turns, NAME=requests_per_second or all; figures go to bench/RESULTS.md
	@for name in $(if $(filter-out all,$(NAME)),$(NAME),$(BENCHES)); do \
		[ -e bench/$$name.py ] || { echo "bench $$name: expected: all, $(BENCHES)" >&2; exit 1; }; \
		echo "python -m bench.$$name"; python -m bench.$$name || exit 1; \
	done

docs: ## copy the report's page, claims and figures of the last run to docs/results/, for Git
	@[ -e report/index.html ] || { echo "report/index.html: no such file; run \`make repro\` first" >&2; exit 1; }
	cp report/index.html report/claims.md report/claims.json report/accuracy.svg report/figure-*.svg docs/results/

# Two workers with a thread each: vLLM's threads wait for one another, so that a busy core beside
# them makes it three times slower; a single thread loses nothing. Slow files first, whole.
TESTS := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
test test-fast test-nightly: export OMP_NUM_THREADS := 1

test: lint ## lint, then every test
	$(TESTS) --durations 30

test-fast: test-environment ## the tests that need neither a model nor a DVC run
	$(TESTS) -m "not slow"

test-nightly: test-environment ## a hundred kills (an hour; in no other run)
	$(TESTS) -m nightly

fuzz: test-environment ## fuzz what reads model text: SECONDS=600 for each of five targets
	for target in last_box chat_format_split judge_reply strict_json_loads rule_judge; do \
		python -m tests.property.fuzz_targets $$target -max_len=400 -max_total_time=$(or $(SECONDS),60) || exit 1; \
	done

AUDITED := $(filter-out requirements/torch.txt requirements/excluded.txt,$(wildcard requirements/*.txt))
audit: environment ## known vulnerabilities of the pinned packages (needs the package index's own advisories)
	tools/uv.sh python tool run pip-audit==2.10.1 --disable-pip $(AUDITED:%=--requirement %)

lint: test-environment ## ruff and mypy over every folder
	ruff check .
	ruff format --check .
	mypy

format: test-environment ## rewrite the code as `make lint` wants it
	ruff check --fix .
	ruff format .

# Keeps the pins that still fit; `make lock UPGRADE=--upgrade` takes the newest of everything.
lock: environment ## rewrite requirements/ after a change of pyproject.toml (2 minutes)
	tools/lock.sh $(UPGRADE)

clean: ## remove the environment and the tools' caches (no results)
	@tools/environment.sh remove
	rm -rf .bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
