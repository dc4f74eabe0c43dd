# make install: install into .venv. make run: install, run every method on the built-in benchmark, print the table.
# make test: install, check everything. make torture: faults and broken input, for about forty minutes.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
DEV = $(VENV)/.installed-dev
.DEFAULT_GOAL := help
.PHONY: help install lock run test bench gpu torture lint readme docs clean

help:
	@echo "make install   install into $(VENV), and nothing else; then: source $(VENV)/bin/activate"
	@echo "make run    install into $(VENV), run all methods on shapes-5i, print the table"
	@echo "make test   install into $(VENV), run linter, type checker and tests"
	@echo "make bench  time this beside other implementations (minutes; nothing fails on a time)"
	@echo "make gpu    check and measure a GPU in ten minutes; one JSON and one page in results/gpu-check"
	@echo "make torture   kills, full disks, broken input by the thousand; prints what was survived; forty minutes"
	@echo "make readme write what is generated in README and docs anew: tables, verdicts, reference pages"
	@echo "make docs   the documentation as web pages, in site/; broken links fail"
	@echo "make lock   write constraints.txt and locks/ anew from pyproject.toml"
	@echo "make clean  delete $(VENV) and caches (stored runs stay)"

# Every package, those that build packages too, is compared with its hash in locks/. The project itself comes last: it
# has no hash, and needs nothing more.
INSTALL = PIP_BUILD_CONSTRAINT=locks/build.txt $(BIN)/python -m pip install --quiet
HASHED = $(INSTALL) --require-hashes --requirement

$(STAMP): pyproject.toml locks/build.txt locks/train.txt
	$(PYTHON) -m venv $(VENV)
	$(HASHED) locks/build.txt
	$(HASHED) locks/train.txt
	$(INSTALL) --no-deps --editable .
	touch $(STAMP)

$(DEV): $(STAMP) locks/dev.txt
	$(HASHED) locks/dev.txt
	touch $(DEV)

# New versions: delete a line, or a file, of constraints.txt and locks/ first; what stands there is kept where it can be.
# onedl-mmcv has no wheel: it is built with what locks/build.txt has beside the project's own backend, by a pip that
# compares what it builds with too.
UV = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --prerelease disallow --no-header \
	--no-annotate --no-emit-index-url --no-emit-find-links
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv
	build/lock/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], \
		'wheel', 'packaging', 'pip>=25.3', sep='\n')" > build/lock/build.in
	$(UV) --all-extras --output-file constraints.txt pyproject.toml build/lock/build.in
	$(UV) --generate-hashes --constraint constraints.txt --output-file locks/build.txt build/lock/build.in
	$(UV) --generate-hashes --constraint constraints.txt --extra train --output-file locks/train.txt pyproject.toml
	$(UV) --generate-hashes --constraint constraints.txt --extra train --extra dev --output-file locks/dev.txt pyproject.toml

install: $(STAMP)
	@echo "Installed. Next: source $(VENV)/bin/activate && python harness.py list"

run: $(STAMP)
	$(BIN)/python harness.py --methods all

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadscope

bench: $(DEV)
	$(BIN)/python -m tests.speed

gpu: $(DEV)
	$(BIN)/python harness.py doctor --gpu

torture: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture

docs: $(DEV)
	$(BIN)/python -m mkdocs build --strict --quiet

readme: $(DEV)
	$(BIN)/python -m tests.readme_blocks
	$(BIN)/python -m results.store.read_aloud

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
