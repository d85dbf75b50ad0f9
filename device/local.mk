# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	device/admin.c \
	device/algorithms.c \
	device/algorithms.h \
	device/attributes.c \
	device/attributes.h \
	device/attributes_algorithms.c \
	device/attributes_algorithms.h \
	device/block.c \
	device/counters.c \
	device/counters.h \
	device/device.c \
	device/device.h \
	device/device_internal.h \
	device/maintenance.c \
	device/maintenance.h \
	device/owner.c \
	device/pressure.c \
	device/pressure.h \
	device/range.c \
	device/recompress.c \
	device/recompress.h \
	device/reports.c \
	device/reports.h \
	device/same_filled.c \
	device/same_filled.h \
	device/settings.c \
	device/settings.h \
	device/slot.h \
	device/slot_table.c \
	device/slot_table.h \
	device/statistics.c \
	device/statistics.h \
	device/train.c \
	device/train.h
