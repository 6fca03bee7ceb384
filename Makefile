# What people type. The build itself is meson and ninja; tools/setup.sh brings what they need.
BUILD ?= build
PROGRAM = $(BUILD)/hailo-pose
FACE = $(BUILD)/hailo-face
SERVICE ?= pose
PREFIX ?= /usr/local
MESON_ARGS ?=
ARGS ?=

all: setup $(BUILD)/build.ninja
	@ninja -C $(BUILD)

setup:
	@tools/setup.sh packages
	@tools/setup.sh openvino

$(BUILD)/build.ninja: | setup
	@meson setup --prefix $(PREFIX) $(MESON_ARGS) $(BUILD)

# Sample pictures and the default weights, both kept in .deps.
data: all
	@tools/setup.sh samples
	@tools/setup.sh weights $(PROGRAM)

# And those of hailo-face, where they can be had.
data-face: data
	@tools/setup.sh face $(FACE)

demo: data-face
	@tools/demo.sh $(PROGRAM) $(FACE)

check: data-face
	@tools/check.sh $(BUILD)

# For aarch64, under emulation, beside this machine's programs.
check-arm64: data-face
	@tests/arm64/run.sh $(BUILD)

run: run-$(SERVICE)

run-pose: data
	@exec $(PROGRAM) serve --models .deps/models $(ARGS)

# A gallery of its own, kept in .deps.
run-face: data-face
	@exec $(FACE) serve --models .deps/models --set database.db_file=.deps/gallery/faces.db \
	    --set database.backup_path=.deps/gallery/backups $(ARGS)

bench: data
	@$(PROGRAM) bench --models .deps/models .deps/samples/zidane.jpg
	@bench/bench_server.py --program $(PROGRAM) --models .deps/models $(ARGS)

bench-devices: data
	@bench/bench_devices.py --program $(PROGRAM) --models .deps/models $(ARGS)

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) demo-out

distclean: clean
	rm -rf .deps

help:
	@echo 'make demo      set everything up, build, find people in three pictures and recognise a face, through the real servers'
	@echo 'make check     set everything up, build, and run all tests'
	@echo 'make check-arm64   build for aarch64 and test under emulation, in a Debian of its own (root; about a quarter of an hour)'
	@echo 'make           set up and build $(PROGRAM)'
	@echo 'make run       serve until Ctrl-C; ARGS="--port 8080 --set key=value" are passed on; SERVICE=face: hailo-face'
	@echo 'make bench     measure on this machine; ARGS are passed on to bench/bench_server.py'
	@echo 'make bench-devices   the same of batches, failing devices and crowds; some minutes'
	@echo 'make install   install below PREFIX ($(PREFIX)); DESTDIR is honoured'
	@echo 'make setup     only Debian packages and the OpenVINO runtime'
	@echo 'make clean     remove $(BUILD) and demo-out; make distclean also what was downloaded to .deps'

.PHONY: all setup data data-face demo check check-arm64 run run-pose run-face bench bench-devices install clean distclean help
.NOTPARALLEL:
