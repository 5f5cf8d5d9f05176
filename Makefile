# `make` lists the targets. Everything runs in an environment of its own, made when it is missing.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV ?= .venv
# The set-up last made stays the one in use: `make repro` does not undo ACCELERATOR=gpu.
ACCELERATOR ?= $(if $(wildcard $(VENV)/.complete-gpu),gpu,cpu)
ifeq ($(filter $(ACCELERATOR),cpu gpu),)
$(error ACCELERATOR is cpu or gpu, not "$(ACCELERATOR)")
endif

LOCKS := requirements-torch.lock requirements.lock
STAMP := $(VENV)/.complete-$(ACCELERATOR)
# An environment is as old as its contents say: every checkout gives all files new times.
PINNED := $(if $(filter gpu,$(ACCELERATOR)),pyproject.toml,$(LOCKS))
DIGEST := $(firstword $(shell cat $(PINNED) 2>/dev/null | sha256sum))
# The clones that use it, a path each: none of them loses it to another.
CLONES := $(VENV)/.clones
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# Stages call plain `python`, and DVC's workers inherit this environment.
export PATH := $(abspath $(VENV))/bin:$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export VLLM_NO_USAGE_STATS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Without bytecode every process, and each stage is one, would compile its libraries anew.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help setup repro plan experiment view-pairs export push bench docs test test-fast test-nightly fuzz audit lint format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(STAMP) ## make the environment in .venv (once; 2 to 5 minutes). On a GPU: ACCELERATOR=gpu
	@echo "set-up: $(VENV) is complete"

repro: $(STAMP) ## run the pipeline (only what changed) and print the scores
	@python -m delta check
	@python -m delta repair-dvc
	dvc repro
	@python -m delta summary

plan: $(STAMP) ## what `make repro` would run, ask and cost; runs nothing (CARD="--card-gib 141")
	@python -m delta repair-dvc
	@python -m delta plan $(CARD)

experiment: $(STAMP) ## run a table or figure as DVC experiments: NAME=figure-1, or all; JOBS=2 side by side
	@python -m delta experiment $(NAME) --jobs $(or $(JOBS),1)

view-pairs: $(STAMP) ## the selected pairs to look at: report/pairs/index.html
	@python -m delta view-pairs

export: $(STAMP) ## the selected pairs as a data set with its card, in export/ (uploads nothing)
	@python -m delta export

# Two workers with a thread each: vLLM's threads wait for one another, so that a busy core beside
# them makes it three times slower; a single thread loses nothing. Slow files first, whole.
TESTS := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
test test-fast test-nightly: export OMP_NUM_THREADS := 1

push: $(STAMP) ## hand on what was made: dvc push (REMOTE=name), whole even after one that was killed
	@python -m delta repair-dvc
	@python -m delta push $(if $(REMOTE),--remote $(REMOTE))

# One after the other, on a machine that does nothing else: an hour, and gigabytes of temporary tables.
BENCHES := asking tokens verifying ranking training noop ablation pages memory scale
bench: $(STAMP) ## measure against others, in turns, NAME=asking or all; figures go to bench/RESULTS.md
	@for name in $(if $(filter-out all,$(NAME)),$(NAME),$(BENCHES)); do \
		[ -e bench/$$name.py ] || { echo "bench $$name: expected: all, $(BENCHES)" >&2; exit 1; }; \
		echo "python -m bench.$$name"; python -m bench.$$name || exit 1; \
	done

docs: ## copy the report's page, claims and figures of the last run to docs/, for Git
	@[ -e report/index.html ] || { echo "report/index.html: no such file; run \`make repro\` first" >&2; exit 1; }
	cp report/index.html report/claims.md report/claims.json report/accuracy.svg report/figure-*.svg docs/results/

test: lint ## lint, then every test
	$(TESTS) --durations 30

test-fast: $(STAMP) ## the tests that need neither a model nor a DVC run
	$(TESTS) -m "not slow"

test-nightly: $(STAMP) ## a hundred kills (an hour; in no other run)
	$(TESTS) -m nightly

fuzz: $(STAMP) ## fuzz what reads model text: SECONDS=600 for each of five targets
	for target in extraction borders rating strict rules; do \
		python -m tests.property.fuzz_targets $$target -max_len=400 -max_total_time=$(or $(SECONDS),60) || exit 1; \
	done

audit: ## known vulnerabilities of what requirements.lock pins (needs the package index's own advisories)
	$(FIND_PYTHON); "$$python" -m venv .venv-audit
	.venv-audit/bin/python -m pip install -qq 'pip-audit==2.10.1'
	.venv-audit/bin/pip-audit --disable-pip --requirement requirements.lock; code=$$?; rm -rf .venv-audit; exit $$code

lint: $(STAMP) ## ruff and mypy over every folder
	ruff check .
	ruff format --check .
	mypy

format: $(STAMP) ## rewrite the code as `make lint` wants it
	ruff check --fix .
	ruff format .

# Keeps the pins that still fit; `make lock UPGRADE=--upgrade` takes the newest of everything.
lock: ## rewrite requirements.lock after a change of pyproject.toml (5 minutes)
	$(FIND_PYTHON); rm -rf .venv-lock; "$$python" -m venv .venv-lock
	.venv-lock/bin/python tools/lock.py $(UPGRADE)
	rm -rf .venv-lock

clean: ## remove the environment and the tools' caches (no results)
	$(GUARD)
	rm -rf $(VENV) .venv-lock .bench .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# The first Python that fits; PYTHON=… names one. The venv's own bin is left out of the search.
define FIND_PYTHON
@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; \
	python=$$(PATH="$${PATH#*:}" command -v "$$python") && "$$python" -c "$$fits" 2>/dev/null && break; \
	python=; \
done; \
if [ -z "$$python" ]; then \
	echo "set-up: needs Python 3.11 to 3.13 with its venv module (Debian: apt-get install python3-venv); PYTHON=/path/to/python names one" >&2; exit 1; \
fi
endef

# VENV may name anybody's folder: nothing but an environment is ever emptied or removed, and not
# through a link, which may lead to another clone's, nor one that another clone uses or has made.
define GUARD
@if [ -L $(VENV) ] || { [ -e $(VENV) ] && [ ! -e $(VENV)/pyvenv.cfg ]; }; then \
	echo "set-up: $(VENV) is a link, or no virtual environment: left alone" >&2; exit 1; \
fi; \
[ -e $(VENV) ] || exit 0; \
[ -e $(CLONES) ] && while IFS= read -r clone; do \
	[ "$$clone" = '$(CURDIR)' ] && ours=yes; \
	if [ "$$clone" != '$(CURDIR)' ] && [ -d "$$clone" ]; then \
		echo "set-up: $(VENV) would have to go (other versions, or make clean), and $$clone uses it: left alone; give this clone another (VENV=...), or take that line out of $(CLONES)" >&2; exit 1; \
	fi; \
done < $(CLONES); \
case '$(abspath $(VENV))' in '$(CURDIR)'/*) ours=yes;; esac; \
if [ -z "$$ours" ]; then \
	echo "set-up: $(VENV) would have to go (other versions, or make clean), and was not made by this clone: left alone; give this clone another (VENV=...), or remove that folder yourself" >&2; exit 1; \
fi
endef

# --no-deps: the locks are complete, and without what must not be there (see tools/lock.py).
# --no-compile: a third of the time saved; Python compiles what is imported, when it is.
INSTALL := $(VENV)/bin/python -m pip install -qq --no-compile
INSTALL_LOCKED := $(INSTALL) --no-deps --require-hashes

ifeq ($(firstword $(shell cat $(STAMP) 2>/dev/null)),$(DIGEST))
$(shell grep -qxF '$(CURDIR)' $(CLONES) 2>/dev/null || echo '$(CURDIR)' 2>/dev/null >> $(CLONES))
else ifeq ($(ACCELERATOR) $(shell $(VENV)/bin/python tools/check.py $(LOCKS) >/dev/null 2>&1 && echo whole),cpu whole)
$(STAMP): FORCE
	@$(STAMP_IT)
else
$(STAMP): FORCE install-$(ACCELERATOR)
	@$(STAMP_IT)
endif
# Written last, so that an interrupted set-up starts anew.
STAMP_IT = echo $(DIGEST) > $@; grep -qxF '$(CURDIR)' $(CLONES) 2>/dev/null || echo '$(CURDIR)' >> $(CLONES)
NEW_VENV = "$$python" -m venv --clear $(VENV) && echo '$(CURDIR)' > $(CLONES)

.PHONY: FORCE install-cpu install-gpu
FORCE:

install-cpu:
	$(GUARD)
	$(FIND_PYTHON); echo "set-up: $(VENV) with $$("$$python" -V), 2 to 5 minutes" && $(NEW_VENV)
	@$(INSTALL_LOCKED) -r requirements-torch.lock || { \
		echo "set-up: that failed; once more with PyTorch's own wheel index" >&2; \
		$(INSTALL_LOCKED) -r requirements-torch.lock --extra-index-url $(TORCH_INDEX); }
	@$(INSTALL_LOCKED) --no-build-isolation --use-pep517 -r requirements.lock
	@python tools/check.py $(LOCKS)

# The official vLLM with CUDA, resolved by pip and not locked. Never run where this was written: no
# GPU machine there has a package index.
install-gpu:
	$(GUARD)
	$(FIND_PYTHON); echo "set-up: $(VENV) with $$("$$python" -V) and CUDA, 10 minutes" && $(NEW_VENV)
	@python tools/lock.py --print gpu cluster dev > $(VENV)/gpu.txt
	@$(INSTALL) -r $(VENV)/gpu.txt
	@python tools/check.py $(VENV)/gpu.txt
