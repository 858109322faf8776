# `make demo` and `make test` do everything on a fresh machine with Python 3.11 or 3.12; nothing is installed twice.
.PHONY: demo test test-all check setup starter evidence constraints clean

SEED ?= 0
TOPIC ?= demo
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$name && break; done)
# An NVIDIA GPU that answers selects the extra `gpu`.
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

# Also the tests marked rare. Run it before a release, or when you change what they prove.
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

# Rebuilds models/starter from nothing, from that models/starter_forms, and from that models/starter_routed.
starter: setup
	$(BIN)/python -m launch.starters.starter
	$(BIN)/python -m launch.starters.starter --forms
	$(BIN)/python -m launch.starters.starter --routed

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

# On Linux the plain wheels are CUDA builds and the CPU builds carry a local version. Where the configured index has no
# CPU torch, PyTorch's own has it, and torchvision's. rl/import_fixes.py copes with CUDA builds of torchvision,
# torchaudio and torchcodec beside it.
ifeq ($(DEVICE),cpu)
CPU_BUILD := $(if $(filter Linux,$(shell uname)),+cpu)
TORCH := $(shell grep '^torch==' constraints/cpu.txt)$(CPU_BUILD)
VISION := $(shell grep '^torchvision==' constraints/cpu.txt)$(CPU_BUILD)
TORCH_FIRST = $(PIP) install -q "$(TORCH)" "$(VISION)" $(PINS) 2>/dev/null || $(PIP) install -q "$(TORCH)" $(PINS) \
	|| $(PIP) install -q "$(TORCH)" "$(VISION)" $(PINS) --extra-index-url https://download.pytorch.org/whl/cpu
endif

# Resolves anew what the extras bring and pins it, for Python 3.12 too, where vLLM asks for an older setuptools.
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
