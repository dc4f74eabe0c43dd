# make install: install into .venv. make run: install, run every method on the built-in benchmark, print the table.
# make test: install, check everything. make torture: faults and broken input, for about an hour.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
DEV = $(VENV)/.installed-dev
.DEFAULT_GOAL := help
.PHONY: help install run test bench gpu torture lint readme docs clean

help:
	@echo "make install   install into $(VENV), and nothing else; then: source $(VENV)/bin/activate"
	@echo "make run    install into $(VENV), run all methods on shapes-5i, print the table"
	@echo "make test   install into $(VENV), run linter, type checker and tests"
	@echo "make bench  time this beside other implementations (minutes; nothing fails on a time)"
	@echo "make gpu    check and measure a GPU in ten minutes; one JSON and one page in results/gpu-check"
	@echo "make torture   kills, full disks, broken input by the thousand; prints what was survived; an hour"
	@echo "make readme write what is generated in README and docs anew: tables, verdicts, reference pages"
	@echo "make docs   the documentation as web pages, in site/; broken links fail"
	@echo "make clean  delete $(VENV) and caches (stored runs stay)"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $(STAMP)

$(DEV): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $(DEV)

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

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
