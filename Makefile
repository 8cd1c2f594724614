# The model gateway: everything that is built, run and tested from here.
#
#   make run      packages, build, PostgreSQL, Redis, demo servers, nginx
#   make test     unit tests and end-to-end tests
#   make help     all targets
#
# What is built lies in build/, what runs lies in run/ (or MODEL_RUN_DIR).

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules --no-print-directory

MODULE := ngx_http_model_module.so
PREFIX ?= /usr
DESTDIR ?=
T ?= 60
J ?= $(shell nproc)
TESTS ?= t/*.t
SQL_CONNINFO ?= $(MODEL_DATABASE)

# the rooms that compile without nginx's headers

ROOMS := base model snapshot provider store client job
FREE_SRCS := $(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c))
UNIT_SRCS := $(wildcard t/unit/test_*.c)
FUZZ_SRCS := $(wildcard t/fuzz/fuzz_*.c)

CFLAGS_FREE := -std=gnu11 -g -Wall -Wextra -Werror \
	-Isrc -It/unit -I/usr/include/postgresql -MMD -MP
LIBS_FREE := -lpq -lyajl -lhiredis -lcurl -lwslay -lcrypto -lz -lpthread -lm

CC_gcc := gcc
CC_clang := clang
CC_fuzz := clang
CC_cov := gcc
CFLAGS_gcc := -O2
CFLAGS_clang := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
CFLAGS_fuzz := -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined
CFLAGS_cov := -O0 --coverage -fprofile-update=atomic

# the checks of a test hide from gcc what is set and how long it is

CFLAGS_test_gcc := -Wno-format-truncation -Wno-maybe-uninitialized
CFLAGS_test_cov := $(CFLAGS_test_gcc)


.PHONY: all help release deps run stop status clean migrate install
.PHONY: unit unit-gcc unit-clang e2e test lint san san-stock san-nginx
.PHONY: san-tsan next bench fuzz cov FORCE

all: release

help:
	@sed -n 's/^#: //p' Makefile

#: make             build/ngx_http_model_module.so
release:
	@tools/build release

build/$(MODULE): FORCE
	@tools/build release

build/asan/$(MODULE): FORCE
	@tools/build asan

build/cov/$(MODULE): FORCE
	@tools/build cov

FORCE:

#: make deps        installs the Debian packages that are missing
deps:
	@tools/deps

#: make run         builds and starts everything; PORT, MODEL_RUN_DIR, ...
run:
	@tools/deps run
	@$(MAKE) release
	@tools/run

#: make stop        stops what make run has started
stop:
	@tools/stop

#: make status      says what runs
status:
	@tools/status

#: make clean       stops, and deletes build/ and run/
clean:
	@tools/clean

#: make migrate     applies sql/ to MODEL_DATABASE (a conninfo or URL)
migrate:
	@tools/migrate "$(SQL_CONNINFO)"

#: make install     module, migrations, pages and examples, under DESTDIR
install: release
	@tools/install "$(DESTDIR)" "$(PREFIX)"


# Unit tests, and the static library of the nginx-free rooms that they and the
# fuzz targets are linked with, once for each compiler and set of flags.

define FLAVOUR
OBJS_$(1) := $$(patsubst src/%.c,$(2)/%.o,$$(FREE_SRCS))

$(2)/%.o: src/%.c Makefile
	@mkdir -p $$(@D)
	@echo "  CC $$@"
	@$(CC_$(1)) $(CFLAGS_FREE) $(CFLAGS_$(1)) -c -o $$@ $$<

$(2)/libmodel.a: $$(OBJS_$(1)) Makefile
	@rm -f $$@
	@ar rcs $$@ $$(OBJS_$(1))

-include $$(OBJS_$(1):.o=.d)
endef

define UNIT
$(2)/test_%: t/unit/test_%.c $(2)/libmodel.a Makefile
	@echo "  LD $$@"
	@$(CC_$(1)) $(CFLAGS_FREE) -D_GNU_SOURCE $(CFLAGS_$(1)) $(CFLAGS_test_$(1)) \
	    -MF $$@.d -MT $$@ -o $$@ $$< $(2)/libmodel.a $(LIBS_FREE)

# programs that need a database, run by t/10_store.t
$(2)/test_store_%: t/db/test_store_%.c $(2)/libmodel.a Makefile
	@echo "  LD $$@"
	@$(CC_$(1)) $(CFLAGS_FREE) -D_GNU_SOURCE $(CFLAGS_$(1)) $(CFLAGS_test_$(1)) \
	    -MF $$@.d -MT $$@ -o $$@ $$< $(2)/libmodel.a $(LIBS_FREE)

-include $$(wildcard $(2)/test_*.d)
endef

$(eval $(call FLAVOUR,gcc,build/unit/gcc))
$(eval $(call FLAVOUR,clang,build/unit/clang))
$(eval $(call FLAVOUR,fuzz,build/fuzz))
$(eval $(call FLAVOUR,cov,build/cov/unit))
$(eval $(call UNIT,gcc,build/unit/gcc))
$(eval $(call UNIT,clang,build/unit/clang))
$(eval $(call UNIT,cov,build/cov/unit))

UNIT_gcc := $(patsubst t/unit/%.c,build/unit/gcc/%,$(UNIT_SRCS))
UNIT_clang := $(patsubst t/unit/%.c,build/unit/clang/%,$(UNIT_SRCS))
STORE_clang := $(patsubst t/db/%.c,build/unit/clang/%,\
	$(wildcard t/db/test_store_*.c))
UNIT_cov := $(patsubst t/unit/%.c,build/cov/unit/%,$(UNIT_SRCS))
FUZZ_BINS := $(patsubst t/fuzz/%.c,build/fuzz/%,$(FUZZ_SRCS))

#: make unit        unit tests with gcc, and with clang, ASan and UBSan
unit: unit-gcc unit-clang

unit-gcc: $(UNIT_gcc)
	@tools/prove -j $(J) -n unit-gcc --exec $(UNIT_gcc)

unit-clang: $(UNIT_clang) $(STORE_clang)
	@UBSAN_OPTIONS=print_stacktrace=1 \
	    tools/prove -j $(J) -n unit-clang --exec $(UNIT_clang)

#: make e2e         end-to-end tests; TESTS='t/10*.t'
e2e: release
	@tools/e2e stock $(TESTS)

#: make test        unit and e2e, with what they need
test:
	@tools/deps test
	@rc=0; $(MAKE) -k -j$(J) unit || rc=1; $(MAKE) e2e || rc=1; exit $$rc

#: make lint        layout, includes by room, cppcheck, scripts
lint:
	@tools/lint

#: make san         the e2e tests under ASan and UBSan, two nginx versions
san: san-stock san-nginx san-tsan

#: make san-stock   sanitized module in the packaged nginx
san-stock: build/asan/$(MODULE)
	@tools/e2e asan $(TESTS)

#: make san-nginx   nginx of its source package under ASan, exact pools
san-nginx:
	@tools/nginx-src 1.22.1 bookworm asan
	@tools/e2e 1.22.1-asan $(TESTS)
	@tools/nginx-src 1.26.3 trixie asan
	@tools/e2e 1.26.3-asan $(TESTS)

#: make san-tsan    nginx and module under TSan
san-tsan:
	@tools/nginx-src 1.22.1 bookworm tsan
	@tools/e2e 1.22.1-tsan $(TESTS)

#: make next        e2e with nginx 1.26.3, the next Debian's
next:
	@tools/nginx-src 1.26.3 trixie plain
	@tools/e2e 1.26.3-plain $(TESTS)

#: make bench       benchmarks with their contenders
bench: release
	@bench/run

#: make fuzz T=60   libFuzzer targets, T seconds shared among them
build/fuzz/fuzz_%: t/fuzz/fuzz_%.c build/fuzz/libmodel.a Makefile
	@echo "  LD $@"
	@clang $(CFLAGS_FREE) -D_GNU_SOURCE $(CFLAGS_fuzz) -fsanitize=fuzzer -MF $@.d -MT $@ \
	    -o $@ $< build/fuzz/libmodel.a $(LIBS_FREE)

-include $(wildcard build/fuzz/fuzz_*.d)

fuzz: $(FUZZ_BINS)
	@tools/fuzz $(T) $(FUZZ_BINS)

#: make cov         coverage of unit and e2e tests: build/cov/html
cov: build/cov/$(MODULE) $(UNIT_cov)
	@tools/cov $(UNIT_cov)
