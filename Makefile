# What people type. The build itself is meson and ninja; tools/setup.sh brings what they need.
BUILD ?= build
PROGRAM = $(BUILD)/hailo-pose
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

demo: data
	@tools/demo.sh $(PROGRAM)

check: data
	@tools/check.sh $(BUILD)

run: data
	@exec $(PROGRAM) serve --models .deps/models $(ARGS)

bench: data
	@$(PROGRAM) bench --models .deps/models .deps/samples/zidane.jpg
	@bench/bench_server.py --program $(PROGRAM) --models .deps/models $(ARGS)

install: all
	@meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) demo-out

distclean: clean
	rm -rf .deps

help:
	@echo 'make demo      set everything up, build, and find people in three pictures through the real server'
	@echo 'make check     set everything up, build, and run all tests'
	@echo 'make           set up and build $(PROGRAM)'
	@echo 'make run       serve until Ctrl-C; ARGS="--port 8080 --set key=value" are passed on'
	@echo 'make bench     measure on this machine; ARGS are passed on to bench/bench_server.py'
	@echo 'make install   install below PREFIX ($(PREFIX)); DESTDIR is honoured'
	@echo 'make setup     only Debian packages and the OpenVINO runtime'
	@echo 'make clean     remove $(BUILD) and demo-out; make distclean also what was downloaded to .deps'

.PHONY: all setup data demo check run bench install clean distclean help
.NOTPARALLEL:
