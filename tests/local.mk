# SPDX-License-Identifier: BSD-3-Clause
# tests/: what `make check` builds and runs. Every test speaks TAP, so that each case is counted.
#
# A new unit test is one word here: tests/NAME-test, made of tests/NAME-test.c, a cmocka program
# with one group, linked with the checked build of the core and what it uses of libsupport. The
# long ones come first, so that the short ones run beside them.

unit_tests = \
	tests/device-model-test \
	tests/device-threads-test \
	tests/pages-random-test \
	tests/zpool-random-test \
	tests/algorithms-test \
	tests/attributes-test \
	tests/chunked-test \
	tests/classes-test \
	tests/compress-allocation-test \
	tests/compress-codec-test \
	tests/compress-streams-test \
	tests/control-server-test \
	tests/control-session-test \
	tests/descriptors-test \
	tests/device-contention-test \
	tests/device-failure-test \
	tests/device-limit-test \
	tests/device-race-test \
	tests/device-range-test \
	tests/device-statistics-test \
	tests/device-test \
	tests/fuzz-control-replay \
	tests/fuzz-replay \
	tests/maintenance-test \
	tests/pages-parts-test \
	tests/pages-test \
	tests/parse-test \
	tests/prefault-test \
	tests/recompress-policy-test \
	tests/recompress-race-test \
	tests/recompress-test \
	tests/safety-test \
	tests/same-filled-test \
	tests/settings-test \
	tests/slot-table-race-test \
	tests/slot-table-test \
	tests/slot-test \
	tests/swap-check-test \
	tests/swap-plan-test \
	tests/zpool-misuse-test \
	tests/zpool-races-test \
	tests/zpool-test \
	tests/zsmalloc-races-test \
	tests/zsmalloc-test

# Scripts that talk to a server of the plugin, or look at the sources and what was built of them.
script_tests = \
	tests/guest/check \
	tests/protocol/run \
	tests/random \
	tests/fio \
	tests/copy \
	tests/requests \
	tests/disconnect \
	tests/sizes \
	tests/extents \
	tests/limits \
	tests/modes \
	tests/control \
	tests/tool \
	tests/swap-tool \
	tests/qemu \
	tests/bad-input \
	tests/bench \
	tests/describe \
	tests/headers \
	tests/layering

# The scripts' clients.
client_programs = \
	tests/nbd-disconnect \
	tests/nbd-random \
	tests/nbd-request \
	tests/storm

guest_files = \
	tests/guest/boot tests/guest/functions.sh tests/guest/init tests/guest/kernel \
	tests/guest/cgroup tests/guest/filesystems tests/guest/killed tests/guest/storm tests/guest/swapoff tests/guest/tool

EXTRA_DIST += $(script_tests) $(guest_files) tests/functions.sh tests/run tests/corpus \
	tests/protocol/migration.pml tests/protocol/mutex.pml \
	tests/protocol/objects.pml tests/protocol/slots.pml

if TESTS_ENABLED
check_LTLIBRARIES += tests/libsupport.la tests/libdevice_support.la
check_PROGRAMS += $(unit_tests) $(client_programs) $(bench_light_programs)
TESTS += $(unit_tests) $(script_tests)
endif

# For every program here that says nothing of its own, and only for those.
AM_CPPFLAGS = $(checked_cppflags) $(CMOCKA_CFLAGS) $(LZ4_CFLAGS) $(ZSTD_CFLAGS)
LDADD = tests/libsupport.la libuzram_checked.la $(CMOCKA_LIBS)
device_ldadd = tests/libdevice_support.la libuzram_checked.la $(CMOCKA_LIBS)

tests_libsupport_la_SOURCES = \
	tests/device-madvise.c tests/device-madvise.h \
	tests/support.c tests/support.h
tests_libdevice_support_la_SOURCES = \
	tests/device-madvise.c tests/device-madvise.h \
	tests/device-model.c tests/device-model.h \
	tests/device-steps.c tests/device-steps.h \
	tests/device-support.c tests/device-support.h
tests_algorithms_test_LDADD = $(device_ldadd)
tests_attributes_test_LDADD = $(device_ldadd)
tests_control_server_test_SOURCES = tests/control-server-test.c tests/control-table.h
tests_control_session_test_SOURCES = tests/control-session-test.c tests/control-table.h
tests_device_contention_test_LDADD = $(device_ldadd)
tests_device_failure_test_LDADD = $(device_ldadd)
tests_device_limit_test_LDADD = $(device_ldadd)
tests_device_model_test_LDADD = $(device_ldadd)
tests_device_race_test_LDADD = $(device_ldadd)
tests_device_range_test_LDADD = $(device_ldadd)
tests_device_statistics_test_LDADD = $(device_ldadd)
tests_device_test_LDADD = $(device_ldadd)
tests_device_threads_test_LDADD = $(device_ldadd)
tests_fuzz_control_replay_SOURCES = \
	tests/control-table.h tests/fuzz-control.c tests/fuzz-replay.c
tests_fuzz_replay_SOURCES = tests/fuzz-device.c tests/fuzz-replay.c
tests_fuzz_replay_LDADD = $(device_ldadd)
tests_maintenance_test_LDADD = $(device_ldadd)
tests_prefault_test_LDADD = $(device_ldadd)
tests_recompress_policy_test_SOURCES = \
	tests/recompress-fixture.c tests/recompress-fixture.h tests/recompress-policy-test.c
tests_recompress_policy_test_LDADD = $(device_ldadd)
tests_recompress_race_test_LDADD = $(device_ldadd)
tests_recompress_test_SOURCES = \
	tests/recompress-fixture.c tests/recompress-fixture.h tests/recompress-test.c
tests_recompress_test_LDADD = $(device_ldadd)
tests_safety_test_LDADD = $(device_ldadd)
tests_same_filled_test_LDADD = $(device_ldadd)
tests_settings_test_LDADD = $(device_ldadd)
tests_slot_table_race_test_SOURCES = \
	tests/slot-table-fixture.c tests/slot-table-fixture.h tests/slot-table-race-test.c
tests_slot_table_race_test_LDADD = $(device_ldadd)
tests_slot_table_test_SOURCES = \
	tests/slot-table-fixture.c tests/slot-table-fixture.h tests/slot-table-test.c
tests_slot_table_test_LDADD = $(device_ldadd)
tests_slot_test_LDADD = $(device_ldadd)
swap_test_sources = \
	tool/command.c tool/format.c tool/swap/amount.c tool/swap/config.c tool/swap/facts.c \
	tool/swap/judge.c tool/swap/nbd_device.c tool/swap/plan.c tool/swap/state.c
tests_swap_check_test_SOURCES = tests/swap-check-test.c $(swap_test_sources)
tests_swap_plan_test_SOURCES = tests/swap-plan-test.c $(swap_test_sources)

# Not made by `make check`, which replays what was found. In a build of its own:
#     configure CC=clang --enable-sanitizers=fuzzer-no-link,address,undefined
#     make tests/fuzz-device && tests/fuzz-device NEW-STREAMS SRCDIR/tests/corpus/device
#     make tests/fuzz-control && tests/fuzz-control -max_len=9000 NEW-STREAMS SRCDIR/tests/corpus/control
EXTRA_PROGRAMS += tests/fuzz-control tests/fuzz-device
tests_fuzz_control_SOURCES = tests/fuzz-control.c tests/control-table.h
tests_fuzz_control_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_device_SOURCES = tests/fuzz-device.c
tests_fuzz_device_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_device_LDADD = $(device_ldadd)


client_cppflags = $(release_cppflags) $(LIBNBD_CFLAGS)
tests_nbd_disconnect_SOURCES = tests/nbd-disconnect.c tests/nbd-client.c tests/nbd-client.h
tests_nbd_disconnect_CPPFLAGS = $(client_cppflags)
tests_nbd_disconnect_LDADD = $(LIBNBD_LIBS)
tests_nbd_random_SOURCES = tests/nbd-random.c tests/nbd-client.c tests/nbd-client.h
tests_nbd_random_CPPFLAGS = $(client_cppflags)
tests_nbd_random_LDADD = $(LIBNBD_LIBS)
tests_storm_SOURCES = tests/storm.c
tests_storm_LDADD =
tests_nbd_request_SOURCES = tests/nbd-request.c tests/nbd-client.c tests/nbd-client.h
tests_nbd_request_CPPFLAGS = $(client_cppflags)
tests_nbd_request_LDADD = $(LIBNBD_LIBS)

AM_TESTS_ENVIRONMENT = \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir;
LOG_COMPILER = $(top_srcdir)/tests/run
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/auxiliary/tap-driver.sh

# The unit tests alone.
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(unit_tests)'

# In a build with the address sanitizer: the unit tests, and the plugin in a server that has its
# runtime, as far as functions.sh ends that server.
check-sanitized:
	UZRAM_PRELOAD=`$(CC) -print-file-name=libasan.so` $(MAKE) $(AM_MAKEFLAGS) check \
		TESTS='$(unit_tests) tests/random tests/requests tests/limits tests/disconnect'

# The storm, N times each: hours. CI runs the short form, tests/guest/check without an argument.
N = 10
check-guest: all tests/storm
	abs_top_builddir=$(abs_top_builddir) $(top_srcdir)/tests/guest/check storms $(N)

.PHONY: check-guest check-unit check-sanitized
