# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	compress/codec.c \
	compress/codec.h \
	compress/codecs.h \
	compress/lz4.c \
	compress/lz4hc.c \
	compress/streams.c \
	compress/streams.h \
	compress/train.c \
	compress/train.h \
	compress/zstd.c
