# Commands for users. meson and ninja do the build; tools/setup.sh installs their requirements.
BUILD ?= build
PROGRAM = $(BUILD)/hailo-pose
FACE = $(BUILD)/hailo-face
SERVICE ?= pose
SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
# The prefix of the build folder, or else /usr/local.
PREFIX ?= $(or $(shell tools/setup.sh prefix $(BUILD)),/usr/local)
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

# In a pipe, the output is the demo's; the setup writes to a log.
demo: export HS_SETUP_LOG = .deps/setup.log
demo: data-face
	@tools/demo.sh $(PROGRAM) $(FACE)

check: data-face
	@ninja $$(test -t 1 || echo --quiet) -C $(BUILD)
	@tools/check.sh $(BUILD)

# One or two hours: attacks with sanitizers, kill -9, all variants of pictures, mutated sources.
check-slow: data-face
	@ninja $$(test -t 1 || echo --quiet) -C $(BUILD)
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
	@echo 'Installed in $(DESTDIR)$(PREFIX). Next, as the user that runs the service:'
	@echo '  hailo-pose models pull    # and for faces: hailo-face models pull'

# Keeps models, settings and galleries.
uninstall:
	@rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,hailo-pose hailo-pose-server hailo-face hailo-face-server)
	@rm -rf $(DESTDIR)$(PREFIX)/lib/hailo-services $(DESTDIR)$(PREFIX)/share/hailo-services
	@cd $(DESTDIR)$(PREFIX)/share 2> /dev/null || exit 0; for name in hailo-pose hailo-face; do \
	    rm -f man/man1/$$name.1 bash-completion/completions/$$name zsh/site-functions/_$$name \
	        fish/vendor_completions.d/$$name.fish; done
	@echo 'Removed from $(DESTDIR)$(PREFIX). Models, settings and galleries are kept.'

# Packages of this Debian release in build-deb; ARGS="--arch arm64" for another machine.
deb:
	@tools/setup.sh packages tools/packages-deb.txt
	@tools/setup.sh openvino
	@tools/deb.sh $(ARGS)

clean:
	rm -rf $(BUILD) build-deb demo-out

distclean: clean
	rm -rf .deps

help:
	@echo 'make demo      set up, build, and run both servers on sample pictures'
	@echo 'make check     set up, build, and run all tests'
	@echo 'make check-arm64   build for aarch64 and test under emulation in a separate Debian (as root; about 15 minutes)'
	@echo 'make check-slow    run the slow tests (1 to 2 hours): attacks, kill -9, mutations; ARGS="kills memory" runs some'
	@echo 'make format    format the C and C++ sources'
	@echo 'make           set up and build $(PROGRAM) and $(FACE)'
	@echo 'make run       run hailo-pose until Ctrl-C (hailo-face with SERVICE=face); ARGS="--port 8080" sets options'
	@echo 'make bench     measure on this machine; ARGS sets options of bench/bench_server.py'
	@echo 'make bench-devices   measure batches, failing devices and many clients (some minutes)'
	@echo 'make install   install to PREFIX ($(PREFIX)), below DESTDIR if it is set'
	@echo 'make uninstall remove the installed files'
	@echo 'make deb       build Debian packages of both services (docs/install.md)'
	@echo 'make setup     install the Debian packages and the OpenVINO runtime only'
	@echo 'make clean     remove $(BUILD), build-deb and demo-out; make distclean also removes the downloads in .deps'

.PHONY: all setup configure data data-face demo check check-slow format check-arm64 run run-pose run-face bench bench-devices install uninstall deb clean distclean help
.NOTPARALLEL:
