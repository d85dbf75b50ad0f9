# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	common/bitmap.h \
	common/clock.h \
	common/compiler.h \
	common/list.h \
	common/lock.c \
	common/lock.h \
	common/memory.c \
	common/memory.h \
	common/algorithm_params.c \
	common/algorithm_params.h \
	common/parse.c \
	common/parse.h \
	common/report.c \
	common/report.h \
	common/steps.c \
	common/steps.h \
	common/units.h
