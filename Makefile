# Thin front end; Meson does the work.  Targets: demo check check-kernel bench scale install build deps
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: all build deps check check-kernel demo bench scale install clean

all: build

deps:
	@tools/deps

build: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX) --buildtype=release
	@ninja -C $(BUILD)

check: build
	@# Tests in namespaces mostly wait.
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --num-processes $$((2 * $$(nproc)))

check-kernel: build
	@tools/deps --kernel
	@BUILD=$(BUILD) TDO_DRIVERS="default openssl" tests/kernel/run

demo: build
	@BUILD=$(BUILD) demo/demo

bench: build
	@BUILD=$(BUILD) bench/run

scale: build
	@BUILD=$(BUILD) tests/scale/run

install: build
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD)
