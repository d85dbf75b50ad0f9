# SPDX-License-Identifier: BSD-3-Clause
libuzram_sources += \
	device/admin.c \
	device/attributes.c \
	device/attributes.h \
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
	device/statistics.h
