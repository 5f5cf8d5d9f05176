# `make` lists the targets. All of them use the environment in .venv and create it if it is missing.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
# The last choice is kept: `make repro` does not undo ACCELERATOR=gpu.
ACCELERATOR ?= $(if $(wildcard $(VENV)/.complete-gpu),gpu,cpu)
ifeq ($(filter $(ACCELERATOR),cpu gpu),)
$(error ACCELERATOR is "$(ACCELERATOR)"; expected cpu or gpu)
endif
# Groups of pyproject.toml that `make setup` adds. Groups are never removed from an environment.
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
# Each stage is a process; without bytecode each would compile its libraries again.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help setup environment test-environment repro downloads plan experiment view-pairs export push bench docs test test-fast test-nightly fuzz audit lint format lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: ## create the environment in .venv (once; 1 to 3 minutes). WITH="cluster s3" adds groups; on a GPU: ACCELERATOR=gpu
	@tools/environment.sh sync $(WITH)
	@echo "set-up: $(VENV) is complete"

environment:
	@tools/environment.sh sync

test-environment:
	@tools/environment.sh sync cluster fuzz s3 tests

repro: environment ## run the pipeline (only what changed) and say what the run taught
	@python -m delta repro

downloads: environment ## fetch models, questions and problems, which needs no GPU; `make repro` begins with it
	@python -m delta repair-dvc
	dvc repro fetch questions problems

plan: environment ## print what `make repro` would run, request and cost; runs nothing (GPU="--gpu-gib 141")
	@python -m delta repair-dvc
	@python -m delta plan $(GPU)

experiment: environment ## run a table or figure as DVC experiments: NAME=figure-1, or all; JOBS=2; FORCE=1 repeats those of others
	@python -m delta experiment $(NAME) --jobs $(or $(JOBS),1) $(if $(FORCE),--force)

view-pairs: environment ## build the pages of pairs and of answers, and print their paths
	@python -m delta repair-dvc
	dvc repro viewer
	@echo "open $(abspath report/pairs/index.html) or $(abspath report/answers/index.html) in a browser"

export: environment ## write the selected pairs as a dataset with its card to export/ (uploads nothing)
	@python -m delta export

push: environment ## push the outputs to a DVC remote (REMOTE=name), also after a killed push
	@python -m delta repair-dvc
	@python -m delta push $(if $(REMOTE),--remote $(REMOTE))

# Run them on an idle machine: an hour, and gigabytes of temporary tables.
BENCHES := requests_per_second generation_throughput grading_throughput pair_selection training dvc_noop experiment_start page_load memory scale
bench: test-environment ## compare with other libraries and write bench/RESULTS.md: NAME=requests_per_second, or all
	@for name in $(if $(filter-out all,$(NAME)),$(NAME),$(BENCHES)); do \
		[ -e bench/$$name.py ] || { echo "bench $$name: expected all, $(BENCHES)" >&2; exit 1; }; \
		echo "python -m bench.$$name"; python -m bench.$$name || exit 1; \
	done

# In Git the pages of pairs and answers are small: a run at the paper's size stays out of it.
MAX_PAGES_KB := 600
docs: ## copy the pages, claims and figures of the last run to docs/results/, for Git
	@[ -e report/index.html ] || { echo "report/index.html: no such file; run \`make repro\` first" >&2; exit 1; }
	@! grep -q "with uncommitted changes" report/index.html || \
		{ echo "report/index.html: built with uncommitted changes; commit them, then \`dvc repro report\`" >&2; exit 1; }
	@kb=$$(du -ck --apparent-size report/pairs report/answers | tail -n 1 | cut -f 1); [ $$kb -le $(MAX_PAGES_KB) ] || \
		{ echo "report/pairs and report/answers have $$kb kB; expected at most $(MAX_PAGES_KB)" >&2; exit 1; }
	rm -f docs/results/*.svg
	cp report/claims.md report/claims.json report/figures/*.svg docs/results/
	sed 's|"../data/"|"../pipeline.md"|' report/index.html > docs/results/index.html  # data/ is not in Git
	rm -rf docs/results/pairs docs/results/answers
	cp -r report/pairs report/answers docs/results/

# Three workers for two cores, since a test that runs DVC or vLLM waits a third of its time. One thread
# each: vLLM's threads wait for one another, so one busy core makes two threads three times slower.
# Slow files come first, and no file is split.
TESTS := python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
test test-fast test-nightly: export OMP_NUM_THREADS := 1

test: lint ## run lint, types and every test
	$(TESTS) --durations 30

test-fast: test-environment ## run the tests that need neither a model nor a DVC run
	$(TESTS) -m "not slow"

test-nightly: test-environment ## kill the pipeline a hundred times (an hour; not part of `make test`)
	$(TESTS) -m nightly

fuzz: test-environment ## fuzz the code that reads model text: SECONDS=600 for each of five targets
	for target in last_box chat_format_split judge_reply strict_json_loads rule_judge; do \
		python -m tests.property.fuzz_targets $$target -max_len=400 -max_total_time=$(or $(SECONDS),60) || exit 1; \
	done

AUDITED := $(filter-out requirements/torch.txt %/excluded.txt,$(wildcard requirements/*.txt requirements/gpu/*.txt))
audit: environment ## list known vulnerabilities of the pinned packages (needs the package index itself)
	tools/uv.sh python tool run pip-audit==2.10.1 --disable-pip $(AUDITED:%=--requirement %)

lint: test-environment ## run ruff and mypy
	ruff check .
	ruff format --check .
	mypy

format: test-environment ## format the code, and fix what ruff can fix
	ruff check --fix .
	ruff format .

# Pins that still fit are kept; `make lock UPGRADE=--upgrade` takes the newest versions.
lock: environment ## rewrite requirements/ after a change of pyproject.toml (2 minutes)
	tools/lock.sh $(UPGRADE)

clean: ## remove the environment and the caches of tools; results stay
	@tools/environment.sh remove
	rm -rf .bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
