# Every target runs in .venv, which `make install` builds with the tested versions of constraints.txt.
#
#   make demo      train, compress and evaluate in minutes         make test     the whole test suite
#   make install   only set up .venv                               make lint     ruff: rules and format
#   make attacks   every attack on the safety filter (docs/safety.md)
#   make clean     remove .venv and build folders            make test-generic  the tests as on an old processor
#
# PYTHON=...    another Python 3.11
# PIP_ARGS=...  more arguments for pip, e.g. "--extra-index-url https://download.pytorch.org/whl/cpu" for PyTorch without CUDA

PYTHON ?= python3.11
PIP_ARGS ?=
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

IS_311 := import sys; sys.exit(sys.version_info[:2] != (3, 11))
HAS_VENV := import venv, ensurepip
WRONG_PYTHON = Python 3.11 is needed and "$(PYTHON)" is not it (pybullet has no later wheel); get it with one of: \
apt install python3.11 python3.11-venv | pyenv install 3.11 | uv python install 3.11; then pass PYTHON=/path/to/python3.11 if it is not found
NO_VENV = "$(PYTHON)" cannot make virtual environments; install the missing part with: apt install python3.11-venv
runs = $(shell "$(PYTHON)" -c "$(1)" >/dev/null 2>&1 && echo yes)

.PHONY: install demo test attacks test-generic lint clean

install: $(VENV)/.installed

# setuptools comes first and builds the package itself, so that its version is the tested one too.
$(VENV)/.installed: setup.py constraints.txt
	$(if $(call runs,$(IS_311)),,$(error $(WRONG_PYTHON)))
	$(if $(call runs,$(HAS_VENV)),,$(error $(NO_VENV)))
	@$(BIN)/python -c "$(IS_311)" 2>/dev/null || "$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) install $(PIP_ARGS) -c constraints.txt setuptools
	$(PIP) install $(PIP_ARGS) -c constraints.txt --no-build-isolation -e ".[train,report,dds,export,dev]"
	@touch $@

demo: install
	$(BIN)/l0-surgical demo

# One thread per test process: small networks run many times slower with more.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

attacks: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/attacks --all-attacks $(PYTEST_ARGS)

# Every library's oldest code path, which rounds as another processor would.
test-generic: export NPY_DISABLE_CPU_FEATURES := X86_V3 X86_V4 AVX512_ICL AVX512_SPR
test-generic: export OPENBLAS_CORETYPE := Nehalem
test-generic: export MKL_CBWR := COMPATIBLE
test-generic: export ONEDNN_MAX_CPU_ISA := SSE41
test-generic: export ATEN_CPU_CAPABILITY := default
test-generic: export NUMBA_CPU_NAME := generic
test-generic: export GLIBC_TUNABLES := glibc.cpu.hwcaps=-AVX2,-FMA
test-generic: test

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
