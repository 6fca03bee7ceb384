# Commands for users. meson and ninja do the build; tools/setup.sh installs their requirements.
BUILD ?= build
PROGRAM = $(BUILD)/hailo-pose
FACE = $(BUILD)/hailo-face
SERVICE ?= pose
SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
# The prefix of the build folder, or else /usr/local.
PREFIX ?= $(or $(shell sed -n 's/.*"name": "prefix", "value": "\([^"]*\)".*/\1/p' \
    $(BUILD)/meson-info/intro-buildoptions.json 2> /dev/null),/usr/local)
MESON_ARGS ?=
ARGS ?=

# The programs and the modules they load, without tests, fuzzers and tools.
all: setup configure
	@if test -t 1; then ninja -C $(BUILD) programs; else ninja --quiet -C $(BUILD) programs | sed '/no work to do/d'; fi

setup:
	@tools/setup.sh packages
	@tools/setup.sh openvino

configure: | setup
	@tools/setup.sh configure $(BUILD) $(PREFIX) $(MESON_ARGS)

# Sample pictures and the default weights, both stored in .deps.
data: all
	@tools/setup.sh samples
	@tools/setup.sh weights $(PROGRAM)

# Also the weights of hailo-face, if they can be downloaded.
data-face: data
	@tools/setup.sh face $(FACE)

demo: data-face
	@tools/demo.sh $(PROGRAM) $(FACE)

check: data-face
	@ninja --quiet -C $(BUILD)
	@tools/check.sh $(BUILD)

# One or two hours: attacks with sanitizers, kill -9, all variants of pictures, mutated sources.
check-slow: data-face
	@ninja --quiet -C $(BUILD)
	@tools/check_slow.sh $(BUILD) $(ARGS)

format:
	@tools/lint.sh format

# Builds and tests for aarch64 under emulation, in addition to this machine's programs.
check-arm64: data-face
	@tests/arm64/run.sh $(BUILD)

run: run-$(SERVICE)

run-pose: data
	@exec $(PROGRAM) serve --models .deps/models $(ARGS)

# Uses a separate gallery in .deps.
run-face: data-face
	@exec $(FACE) serve --models .deps/models --set database.db_file=.deps/gallery/faces.db \
	    --set database.backup_path=.deps/gallery/backups $(ARGS)

bench: data
	@$(PROGRAM) bench --models .deps/models .deps/samples/zidane.jpg
	@bench/bench_server.py --program $(PROGRAM) --models .deps/models $(ARGS)

bench-devices: data
	@bench/bench_devices.py --program $(PROGRAM) --models .deps/models $(ARGS)

# Installs everything that the programs need in addition to Debian's libraries. Nothing installed refers to this
# folder.
install: all
	@meson install --quiet --no-rebuild --strip -C $(BUILD)
	@echo 'installed below $(DESTDIR)$(PREFIX)'

# Keeps models, settings and galleries.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,hailo-pose hailo-pose-server hailo-face hailo-face-server)
	rm -rf $(DESTDIR)$(PREFIX)/lib/hailo-services $(DESTDIR)$(PREFIX)/share/hailo-services

clean:
	rm -rf $(BUILD) demo-out

distclean: clean
	rm -rf .deps

help:
	@echo 'make demo      set everything up, build, find people in three pictures and recognise a face, through the real servers'
	@echo 'make check     set everything up, build, and run all tests'
	@echo 'make check-arm64   build for aarch64 and test under emulation, in a Debian of its own (root; about a quarter of an hour)'
	@echo 'make check-slow    what takes an hour or two: attacks, kill -9, changed sources; ARGS="kills memory" for a part of it'
	@echo 'make format    format the C sources as CI wants them'
	@echo 'make           set up and build $(PROGRAM) and $(FACE)'
	@echo 'make run       serve until Ctrl-C; ARGS="--port 8080 --set key=value" are passed on; SERVICE=face: hailo-face'
	@echo 'make bench     measure on this machine; ARGS are passed on to bench/bench_server.py'
	@echo 'make bench-devices   the same of batches, failing devices and crowds; some minutes'
	@echo 'make install   install below PREFIX ($(PREFIX)); DESTDIR is honoured; the programs need this folder no longer'
	@echo 'make uninstall remove what make install installed'
	@echo 'make setup     only Debian packages and the OpenVINO runtime'
	@echo 'make clean     remove $(BUILD) and demo-out; make distclean also what was downloaded to .deps'

.PHONY: all setup configure data data-face demo check check-slow format check-arm64 run run-pose run-face bench bench-devices install uninstall clean distclean help
.NOTPARALLEL:
