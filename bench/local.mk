# SPDX-License-Identifier: BSD-3-Clause
# bench/: programs that measure. `make bench` builds them. `make check` builds all but the one that
# has the core once more, for tests/bench, which looks at what they do with bad input; it measures
# nothing.

bench_light_programs = \
	bench/density \
	bench/drivers \
	bench/growth \
	bench/load \
	bench/maintenance \
	bench/memdescs \
	bench/recompress \
	bench/uzram-bench
bench_programs = $(bench_light_programs) bench/drivers-without-statistics

EXTRA_PROGRAMS += $(bench_programs)
check_LTLIBRARIES += bench/allocations.la
CLEANFILES += $(bench_programs)
EXTRA_DIST += \
	bench/capture-pages \
	bench/counts \
	bench/functions.sh \
	bench/make-pages \
	bench/plots \
	bench/programs \
	bench/report \
	bench/server \
	bench/statistics-cost

bench: $(bench_programs) bench/allocations.la
.PHONY: bench

bench_support = bench/support.c bench/support.h
bench_latency = bench/latency.c bench/latency.h

bench_density_SOURCES = bench/density.c $(bench_support)
bench_density_CPPFLAGS = $(release_cppflags)
bench_density_LDADD = libuzram.la
bench_drivers_SOURCES = bench/drivers.c $(bench_support)
bench_drivers_CPPFLAGS = $(release_cppflags)
bench_drivers_LDADD = libuzram.la
bench_growth_SOURCES = bench/growth.c $(bench_support)
bench_growth_CPPFLAGS = $(release_cppflags)
bench_growth_LDADD = libuzram.la
bench_load_SOURCES = \
	bench/contestant-nbd.c \
	bench/contestant-process.c \
	bench/contestant.h \
	bench/load.c \
	$(bench_support)
bench_load_CPPFLAGS = $(release_cppflags)
bench_load_LDADD = libuzram.la
bench_maintenance_SOURCES = bench/maintenance.c $(bench_latency) $(bench_support)
bench_maintenance_CPPFLAGS = $(release_cppflags)
bench_maintenance_LDADD = libuzram.la
bench_memdescs_SOURCES = bench/memdescs.c $(bench_support)
bench_memdescs_CPPFLAGS = $(release_cppflags)
bench_memdescs_LDADD = libuzram.la

bench_recompress_SOURCES = bench/recompress.c $(bench_latency) $(bench_support)
bench_recompress_CPPFLAGS = $(release_cppflags)
bench_recompress_LDADD = libuzram.la

bench_uzram_bench_SOURCES = \
	bench/contestant-process.c \
	bench/contestant-zram.c \
	bench/contestant.h \
	bench/crew.c \
	bench/crew.h \
	bench/uzram-bench.c \
	$(bench_support)
bench_uzram_bench_CPPFLAGS = $(release_cppflags)
bench_uzram_bench_LDADD = libuzram.la

# The core once more, without the counters whose cost statistics-cost measures.
bench_drivers_without_statistics_SOURCES = \
	bench/drivers.c \
	$(bench_support) \
	$(libuzram_sources)
bench_drivers_without_statistics_CPPFLAGS = $(release_cppflags) -DUZRAM_WITHOUT_CLASS_STATISTICS
bench_drivers_without_statistics_CFLAGS = $(core_cflags)
bench_drivers_without_statistics_LDADD = $(core_libs)

# What bench/counts preloads into a server. Never installed, but libtool makes no shared object without
# a place for it.
bench_allocations_la_SOURCES = bench/allocations.c
bench_allocations_la_CPPFLAGS = $(release_cppflags)
bench_allocations_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
