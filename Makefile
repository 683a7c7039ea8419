# make demo   enrol and classify shipped clips, with only the packages that a user installs
# make test   the tests, with the development extras
# make lint   ruff and mypy
# make docs   the documentation as a site in site/, without a network
# make bundles   the shipped bundles from models/, their cards and pages; WHISPER=FOLDER also makes the frozen one
# make versions   the runtime's tests with every supported Python on this machine, with the oldest dependencies, and the
#                 tests of providers with the wheels onnxruntime-openvino and onnxruntime-gpu
# make test-page   the page of `metaser serve` in Chromium
# make test-fleet   jobs and the server on a Ray cluster of this machine
# make arm64 CORPORA=FOLDER   the wheel on an emulated arm64 Debian, compared with this machine; as root, about 20 minutes
# make arm64-full CORPORA=FOLDER   the same with all bundles, 500 clips and the runtime's tests; hours, can be continued
# make deployment   the containers of examples/ on amd64 and emulated arm64, and its services under systemd; as root
# make openvino   the tests of providers with the wheel onnxruntime-openvino
# make release-check   the wheel and the sdist: reproducible, installed and run on every supported Python
# make gpu-check   TensorRT on this machine's GPU: build, cache, results, times; exit code 3 without a GPU

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export ORT_DISABLE_TELEMETRY := 1

.PHONY: demo test test-page test-fleet arm64 arm64-full deployment release-check lint docs bundles versions openvino gpu-check wheel clean

demo: $(VENV)/.demo
	$(BIN)/metaser demo
	@echo 'To use the commands:  . $(VENV)/bin/activate'

test: $(VENV)/.dev
	$(BIN)/pytest --numprocesses 2 --dist loadfile

# in a separate environment: Playwright drives Debian's chromium, or METASER_CHROMIUM
test-page: $(VENV)-page/.page
	$(VENV)-page/bin/python -m pytest --numprocesses 2 --import-mode=importlib tests/page

# in a separate environment: Ray is large
test-fleet: $(VENV)-fleet/.fleet
	$(VENV)-fleet/bin/python -m pytest --import-mode=importlib tests/fleet

release-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks.release

arm64: wheel
	$(BIN)/python -m benchmarks.arm64 $(CORPORA)

arm64-full: | dist
	$(BIN)/python -m benchmarks.arm64 $(CORPORA) --full --folder build/arm64-full

deployment: $(VENV)/.dev
	$(BIN)/python -m benchmarks.deployment.images
	$(BIN)/python -m benchmarks.deployment.services

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict

bundles: $(VENV)/.dev
	$(BIN)/python -m tools.make_bundles $(if $(WHISPER),--whisper $(WHISPER))

versions: wheel
	$(BIN)/python -m tools.versions

openvino: wheel
	$(BIN)/python -m tools.versions --extra openvino

# in a separate environment: onnxruntime-gpu and onnxruntime break each other
gpu-check: $(VENV)-gpu/.gpu
	$(VENV)-gpu/bin/python -m tools.gpu_check

# a wheel that is there is kept: a comparison that was ended continues with the same one
dist:
	$(MAKE) wheel

wheel: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) $(VENV)-gpu $(VENV)-page $(VENV)-fleet build dist site

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo 'Installing into $(VENV), about 220 MB'
	$(BIN)/pip install --quiet --editable '.[cpu]'
	touch $@

$(VENV)-page/.page: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-page
	$(VENV)-page/bin/pip install --quiet --constraint constraints.txt --editable '.[cpu,serve]' \
		pytest pytest-xdist playwright axe-playwright-python
	touch $@

$(VENV)-fleet/.fleet: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-fleet
	$(VENV)-fleet/bin/pip install --quiet --constraint constraints.txt --editable '.[cpu,ray,serve]' 'ray[serve]' pytest
	touch $@

$(VENV)-gpu/.gpu: pyproject.toml
	$(PYTHON) -m venv $(VENV)-gpu
	$(VENV)-gpu/bin/pip install --quiet --editable '.[gpu,export]'
	touch $@

# the constraints pin the versions for development; torch 2.13.0 is a build without CUDA if one is available
$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.demo
