# Everything happens in .venv, made by the first target that needs it. `make help` lists the targets.

PYTHON ?= python3
PROMPT ?= slow church organ chorale in G minor
# An index of another torch build, such as the CPU-only one that pytorch.org names (a tenth of the size).
TORCH_INDEX ?=
MINUTES ?= 600

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
NUMERIC := $(addprefix tests/,\
  kernels/test_quantized.py kernels/test_steady.py kernels/test_prefill_attention.py engine/test_precision.py \
  engine/test_decoder.py engine/test_readers.py audio/test_encodec.py audio/test_dac.py audio/test_codec_music.py \
  image/test_vq.py)
# A worker a core, each with one thread (tests/conftest.py); a file stays together, for what its tests share.
PYTEST := $(BIN)/python -m pytest --quiet --numprocesses auto --maxprocesses 8 --dist loadfile
SETUP := .venv/.setup
DEV := .venv/.setup-dev

.PHONY: help setup song test test-limited coverage hooks lint docs bench kernels-check train-aria train-lumia train-vae train-gan clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Variables: PYTHON=python3.12, PROMPT="...", SCORES=folder, PICTURES=folder, MINUTES=600, FOLDER=audio, TORCH_INDEX=url'

setup: $(SETUP)  ## install into .venv (once, and again when pyproject.toml changes)

$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Clavilux needs Python 3.11 or newer and $(PYTHON) is %d.%d; choose another: make setup PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Installing into .venv; torch is most of the wait.'
	@$(INSTALL) --editable .
	@touch $@

$(DEV): $(SETUP)
	@$(INSTALL) --editable '.[dev]'
	@touch $@

export PROMPT
song: $(SETUP)  ## write song.wav (another one: make song PROMPT="irish jig on fiddle")
	@$(BIN)/clavilux render "$$PROMPT" --seconds 20 --seed 7 --output song.wav

test: $(DEV)  ## run the tests
	$(PYTEST)

test-limited: $(DEV)  ## run the numeric tests as on lesser processors: without AVX-512, then without AVX2
	CLAVILUX_CPU=avx2 $(PYTEST) $(NUMERIC)
	CLAVILUX_CPU=baseline $(PYTEST) $(NUMERIC)

coverage: $(DEV)  ## run the tests and print the lines that they do not run (a part: make coverage FOLDER=audio)
	$(PYTEST) $(FOLDER:%=tests/%) $(addprefix --cov=,$(or $(FOLDER),engine kernels audio image)) --cov-report=term-missing:skip-covered

hooks: $(DEV)  ## have ruff run before each commit
	$(BIN)/pre-commit install

lint: $(DEV)  ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/helpers/check_types.py

docs: $(SETUP)  ## build the documents into build/site; warnings are errors
	@$(INSTALL) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo 'Open build/site/index.html; with search: $(BIN)/python -m http.server --directory build/site'

bench: $(DEV)  ## measure what a step costs on this machine, beside plain torch and transformers
	@$(INSTALL) --editable '.[bench]'
	$(BIN)/clavilux bench

kernels-check: $(DEV)  ## compile every GPU kernel, without a GPU, and check what it uses
	$(BIN)/python benchmarks/kernels_check.py

train-aria: $(SETUP)  ## train the bundled composer again: make train-aria SCORES=folder-of-midi-files
	@test -n "$(SCORES)" || { echo 'Which scores? make train-aria SCORES=folder-of-midi-files' >&2; exit 2; }
	$(BIN)/python -m clavilux.training.composer "$(SCORES)" --out runs/composer --export runs/composer/taught
	$(BIN)/python -m clavilux.training.self_play "$(SCORES)" --begin runs/composer/taught --out runs/self-play \
		--export runs/aria --average runs/composer/taught

train-lumia: $(SETUP)  ## train the bundled painter again: make train-lumia PICTURES=unpacked-packages ARTISTS=folder
	@test -n "$(PICTURES)" || { echo 'Which pictures? make train-lumia PICTURES=folder-of-unpacked-packages' >&2; exit 2; }
	@test -n "$(ARTISTS)" || { echo 'Which drawings? make train-lumia ARTISTS=folder (engine/training/drawings.py says how to fill it)' >&2; exit 2; }
	@$(INSTALL) --editable '.[painter]'
	$(BIN)/python -m clavilux.training.painter "$(PICTURES)" --artists "$(ARTISTS)" --out runs/painter --export runs/lumia $(if $(BEGIN),--begin "$(BEGIN)")

runs/latents: | $(SETUP)
	@test -n "$(PICTURES)" || { echo 'Which pictures? make $(MAKECMDGOALS) PICTURES=folder-of-unpacked-packages' >&2; exit 2; }
	@$(INSTALL) --editable '.[painter]'
	@mkdir -p runs
	$(BIN)/python -m clavilux.training.latents "$(PICTURES)" $@

train-vae: runs/latents  ## train the bundled VAE again, MINUTES of it: make train-vae PICTURES=folder-of-unpacked-packages
	$(BIN)/clavilux train vae runs/latents/taught --held-out runs/latents/held-out -o runs/vae --licence Apache-2.0 --minutes $(MINUTES)

train-gan: runs/latents  ## train the bundled GAN again, in the latents of runs/vae, MINUTES of it: make train-gan PICTURES=...
	$(BIN)/clavilux train gan runs/latents/taught --held-out runs/latents/held-out --vae runs/vae -o runs/gan --minutes $(MINUTES)

clean:  ## remove .venv, caches and build outputs
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
