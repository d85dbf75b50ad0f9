# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	pages/arena.c \
	pages/arena.h \
	pages/budget.c \
	pages/budget.h \
	pages/descriptors.c \
	pages/descriptors.h \
	pages/isolate.c \
	pages/mem_desc.c \
	pages/mem_desc.h \
	pages/pages.c \
	pages/pages.h \
	pages/pages_internal.h \
	pages/purge.c \
	pages/validate.c
