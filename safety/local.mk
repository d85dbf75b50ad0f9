# SPDX-License-Identifier: BSD-3-Clause
# safety/: a process that swap can't wait for: makes it so, and looks whether it is.

libuzram_sources += \
	safety/inspect.c \
	safety/inspect.h \
	safety/safety.c \
	safety/safety.h
