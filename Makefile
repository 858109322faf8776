# `make demo` and `make test` work on a fresh machine with Python 3.11 or 3.12 and install what they need once.
.PHONY: demo test test-all check setup starter evidence constraints clean

SEED ?= 0
TOPIC ?= demo
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$name && break; done)
# The extra `gpu` if nvidia-smi finds a GPU, else `cpu`.
DEVICE ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := .venv/.installed-$(DEVICE)-$(shell cat pyproject.toml constraints/*.txt | cksum | cut -d' ' -f1)
PINS := -c constraints/$(DEVICE).txt -c constraints/dev.txt

demo: setup
	@test -d data/demo || $(BIN)/assay data output=data/demo
	@$(BIN)/assay train experiment=demo seed=$(SEED) $(if $(filter gpu,$(DEVICE)),cluster=local_gpu)

test: check
	$(BIN)/pytest -m "slow and not rare" --timeout 900

# `make test` and the tests marked rare. Run it before a release, or when you change what these tests prove.
test-all: test
	$(BIN)/pytest -m rare --timeout 1800

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not rare"

# Trains models/starter from random weights, models/starter_forms from it, and models/starter_routed from that.
starter: setup
	$(BIN)/python -m launch.demo.starter
	$(BIN)/python -m launch.demo.starter --forms
	$(BIN)/python -m launch.demo.starter --routed

evidence: setup
	@$(BIN)/python -m benchmarks.evidence $(TOPIC)

setup: $(STAMP)

$(STAMP):
	@test -n "$(PYTHON)" || { echo "Assay needs Python 3.11 or 3.12; install one, or name it: make PYTHON=…"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(TORCH_FIRST)
	$(PIP) install -q -e ".[$(DEVICE),sweep,dev]" $(PINS)
	rm -f .venv/.installed-*
	touch $@

# On Linux the plain wheels are CUDA builds and the CPU builds have a local version. If the configured package index has
# no CPU builds of torch and torchvision, they come from PyTorch's index. rl/import_fixes.py makes a CPU torch work with
# CUDA builds of torchvision, torchaudio and torchcodec.
ifeq ($(DEVICE),cpu)
CPU_BUILD := $(if $(filter Linux,$(shell uname)),+cpu)
TORCH := $(shell grep '^torch==' constraints/cpu.txt)$(CPU_BUILD)
VISION := $(shell grep '^torchvision==' constraints/cpu.txt)$(CPU_BUILD)
TORCH_FIRST = $(PIP) install -q "$(TORCH)" "$(VISION)" $(PINS) 2>/dev/null || $(PIP) install -q "$(TORCH)" $(PINS) \
	|| $(PIP) install -q "$(TORCH)" "$(VISION)" $(PINS) --extra-index-url https://download.pytorch.org/whl/cpu
endif

# Resolves the packages of the extras and pins them. The gpu pins take setuptools from the cpu pins, so that they suit
# Python 3.12 too, where vLLM needs an older one.
constraints:
	$(call pin,".[cpu$(COMMA)sweep]",cpu)
	$(call pin,".[gpu$(COMMA)sweep]" $$(grep '^setuptools==' constraints/cpu.txt),gpu)
	$(call pin,$$($(BIN)/python -c '$(DEV_TOOLS)') -c constraints/cpu.txt,dev)

COMMA := ,
DEV_TOOLS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"])
PINNED := import json, sys; \
	packages = [p["metadata"] for p in json.load(sys.stdin)["install"] if p["metadata"]["name"] != "assay"]; \
	print("\# Everything that the extra brings, pinned; written by make constraints."); \
	print(*sorted((p["name"] + "==" + p["version"].split("+")[0] for p in packages), key=str.lower), sep="\n")
define pin
$(PIP) install -q --dry-run --ignore-installed --report - $(1) > $(2).report
$(BIN)/python -c '$(PINNED)' < $(2).report > constraints/$(2).txt
rm $(2).report
endef

clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
