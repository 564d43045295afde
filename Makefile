# The two commands: `sudo make run` and `sudo make test`. Both do all set-up (vagrant/provision.sh) themselves.
.PHONY: build run test bench lint asan tsan dev test-long clean
SHELL := /bin/bash
JOBS ?= $(shell nproc)

build:
	@cmake --preset release >/dev/null
	@cmake --build build/release -j $(JOBS)

run:
	@vagrant/provision.sh run
	@$(MAKE) --no-print-directory build
	@tests/e2e/run-sample.sh

test:
	@vagrant/provision.sh test
	@tests/run-all.sh

test-long:
	@vagrant/provision.sh test
	@LONG=1 tests/run-all.sh

bench:
	@vagrant/provision.sh bench
	@$(MAKE) --no-print-directory build
	@tests/bench/run.sh

lint:
	@python3 tests/lint/check_layers.py .

dev asan tsan:
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@ -j $(JOBS)

clean:
	rm -rf build
