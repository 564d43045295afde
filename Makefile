# The two commands: `sudo make run` and `sudo make test`. Both do all set-up (vagrant/provision.sh) themselves.
.PHONY: build sim run test bench lint asan tsan dev test-long clean
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

dev:
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@ -j $(JOBS)

# The tests (and the appliance with fault points, for tests/fault) with AddressSanitizer and UndefinedBehaviorSanitizer; those of the folders with the most threads with ThreadSanitizer.
asan:
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@ -j $(JOBS) --target skerry skerry_tests skerry_fault_store skerry_fuzz

# The simulations, optimized: tests/sim/test-thousand.sh.
sim:
	@cmake --preset release >/dev/null
	@cmake --build build/release -j $(JOBS) --target skerry_sim

tsan:
	@cmake --preset $@ >/dev/null
	@cmake --build build/$@ -j $(JOBS) --target skerry_tests

clean:
	rm -rf build
