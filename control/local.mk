# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	control/attribute.c \
	control/attribute.h \
	control/client.c \
	control/client.h \
	control/control.c \
	control/control.h \
	control/errand.c \
	control/errand.h \
	control/listener.c \
	control/listener.h \
	control/places.c \
	control/places.h \
	control/request.c \
	control/request.h \
	control/session.c \
	control/session.h \
	control/text.c \
	control/text.h
