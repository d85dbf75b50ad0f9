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
	tool/nbd_device.c tool/nbd_device.h \
	tool/program.c tool/program.h \
	tool/servers.c tool/servers.h \
	tool/set.c \
	tool/status.c \
	tool/swap.c tool/swap.h \
	tool/swap_amount.c \
	tool/swap_check.c \
	tool/swap_config.c \
	tool/swap_facts.c tool/swap_facts.h \
	tool/swap_judge.c \
	tool/swap_plan.c tool/swap_plan.h \
	tool/swap_start.c \
	tool/swap_state.c tool/swap_state.h \
	tool/swap_steps.c tool/swap_steps.h \
	tool/swap_stop.c \
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
dist_swapconf_DATA = tool/swap.conf
if SYSTEMD_UNIT
systemdsystemunit_DATA = tool/uzram-swap.service
endif
EXTRA_DIST += tool/uzram-swap.service.in
CLEANFILES += tool/uzram-swap.service

tool/uzram-swap.service: tool/uzram-swap.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) tool && $(SED) -e 's|@bindir[@]|$(bindir)|g' \
		-e 's|@sysconfdir[@]|$(sysconfdir)|g' \
		$(top_srcdir)/tool/uzram-swap.service.in >$@.new && mv $@.new $@

man1_MANS += tool/uzram.1 tool/uzram-swap.1
EXTRA_DIST += tool/uzram.pod tool/uzram-swap.pod
CLEANFILES += tool/uzram.1 tool/uzram-swap.1

tool/uzram.1: tool/uzram.pod
	$(AM_V_GEN)$(MKDIR_P) tool && $(POD2MAN) --section=1 --center="uzram" --utf8 \
		--release="uzram-$(VERSION)" --name=uzram \
		$(top_srcdir)/tool/uzram.pod $@.new && mv $@.new $@

tool/uzram-swap.1: tool/uzram-swap.pod
	$(AM_V_GEN)$(MKDIR_P) tool && $(POD2MAN) --section=1 --center="uzram" --utf8 \
		--release="uzram-$(VERSION)" --name=uzram-swap \
		$(top_srcdir)/tool/uzram-swap.pod $@.new && mv $@.new $@
