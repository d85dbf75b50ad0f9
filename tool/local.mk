# SPDX-License-Identifier: BSD-3-Clause
# tool/: the program uzram, its manuals, completion for bash, and swap at boot.
#
# A sub-command is a file here, and a line in the table of uzram.c.

bin_PROGRAMS = tool/uzram
tool_uzram_SOURCES = \
	tool/canvas.c tool/canvas.h \
	tool/classes.c \
	tool/command.c tool/command.h \
	tool/font.c tool/font.h \
	tool/format.c tool/format.h \
	tool/get.c \
	tool/list.c \
	tool/map.c \
	tool/metrics.c \
	tool/program.c tool/program.h \
	tool/servers.c tool/servers.h \
	tool/set.c \
	tool/status.c \
	tool/swap/amount.c \
	tool/swap/check.c \
	tool/swap/config.c \
	tool/swap/facts.c tool/swap/facts.h \
	tool/swap/judge.c \
	tool/swap/nbd_device.c tool/swap/nbd_device.h \
	tool/swap/plan.c tool/swap/plan.h \
	tool/swap/start.c \
	tool/swap/state.c tool/swap/state.h \
	tool/swap/steps.c tool/swap/steps.h \
	tool/swap/stop.c \
	tool/swap/swap.c tool/swap/swap.h \
	tool/table.c tool/table.h \
	tool/terminal.c tool/terminal.h \
	tool/top.c \
	tool/train.c \
	tool/uzram.c
tool_uzram_CPPFLAGS = $(release_cppflags)
tool_uzram_CFLAGS = $(AM_CFLAGS) $(PNG_CFLAGS)
tool_uzram_LDADD = libuzram.la $(PNG_LIBS) -lm

bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = tool/completion/uzram

# Swap at boot: a unit, which nobody enables but the administrator, and what it is to set up.
swapconfdir = $(sysconfdir)/uzram
dist_swapconf_DATA = tool/swap/swap.conf
if SYSTEMD_UNIT
systemdsystemunit_DATA = tool/swap/uzram-swap.service
endif
EXTRA_DIST += tool/swap/uzram-swap.service.in
CLEANFILES += tool/swap/uzram-swap.service

tool/swap/uzram-swap.service: tool/swap/uzram-swap.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) tool/swap && $(SED) -e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(top_srcdir)/tool/swap/uzram-swap.service.in >$@.new && mv $@.new $@

man1_MANS += tool/uzram.1 tool/swap/uzram-swap.1
EXTRA_DIST += tool/uzram.pod tool/swap/uzram-swap.pod
CLEANFILES += tool/uzram.1 tool/swap/uzram-swap.1

tool/uzram.1: tool/uzram.pod
	$(AM_V_GEN)$(MKDIR_P) tool && $(POD2MAN) --section=1 --center="uzram" --utf8 \
		--release="uzram-$(VERSION)" --name=uzram \
		$(top_srcdir)/tool/uzram.pod $@.new && mv $@.new $@

tool/swap/uzram-swap.1: tool/swap/uzram-swap.pod
	$(AM_V_GEN)$(MKDIR_P) tool/swap && $(POD2MAN) --section=1 --center="uzram" --utf8 \
		--release="uzram-$(VERSION)" --name=uzram-swap \
		$(top_srcdir)/tool/swap/uzram-swap.pod $@.new && mv $@.new $@
