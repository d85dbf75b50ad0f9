# SPDX-License-Identifier: BSD-3-Clause
# plugin/: the nbdkit plugin and its manual.

plugin_LTLIBRARIES = plugin/nbdkit-zram-plugin.la
plugin_nbdkit_zram_plugin_la_SOURCES = \
	plugin/config.c plugin/config.h \
	plugin/control_socket.c plugin/control_socket.h \
	plugin/io.c plugin/io.h \
	plugin/stats_file.c plugin/stats_file.h \
	plugin/swap.c plugin/swap.h \
	plugin/zram.c
plugin_nbdkit_zram_plugin_la_CPPFLAGS = $(release_cppflags)
plugin_nbdkit_zram_plugin_la_CFLAGS = $(AM_CFLAGS) $(NBDKIT_CFLAGS)
plugin_nbdkit_zram_plugin_la_LIBADD = libuzram.la
plugin_nbdkit_zram_plugin_la_LDFLAGS = $(AM_LDFLAGS) \
	-module -avoid-version -shared -export-symbols-regex '^plugin_init$$'

man1_MANS = plugin/nbdkit-zram-plugin.1
EXTRA_DIST += plugin/nbdkit-zram-plugin.pod
CLEANFILES += plugin/nbdkit-zram-plugin.1

plugin/nbdkit-zram-plugin.1: plugin/nbdkit-zram-plugin.pod
	$(AM_V_GEN)$(MKDIR_P) plugin && $(POD2MAN) --section=1 --center="uzram" --utf8 \
		--release="uzram-$(VERSION)" --name=nbdkit-zram-plugin \
		$(top_srcdir)/plugin/nbdkit-zram-plugin.pod $@.new && mv $@.new $@
