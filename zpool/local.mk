# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	zpool/chunked/chunked.c \
	zpool/chunked/chunked.h \
	zpool/chunked/move.c \
	zpool/chunked/page.c \
	zpool/chunked/validate.c \
	zpool/chunked/z3fold.c \
	zpool/chunked/zbud.c \
	zpool/drivers.h \
	zpool/migrate.c \
	zpool/raw.c \
	zpool/raw.h \
	zpool/zpdesc.h \
	zpool/zpool.c \
	zpool/zpool.h \
	zpool/zsmalloc/classes.c \
	zpool/zsmalloc/classes.h \
	zpool/zsmalloc/compact.c \
	zpool/zsmalloc/migrate.c \
	zpool/zsmalloc/move.c \
	zpool/zsmalloc/settle.c \
	zpool/zsmalloc/statistics.c \
	zpool/zsmalloc/validate.c \
	zpool/zsmalloc/zsmalloc.c \
	zpool/zsmalloc/zsmalloc.h \
	zpool/zsmalloc/zspage.c
