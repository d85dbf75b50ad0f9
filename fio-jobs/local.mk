# SPDX-License-Identifier: BSD-3-Clause
# fio-jobs/: nothing to build; it is run where it lies.

EXTRA_DIST += \
	fio-jobs/README.md \
	fio-jobs/busy-quiet-busy.fio \
	fio-jobs/compressibility.fio \
	fio-jobs/nbd.inc \
	fio-jobs/read-mostly.fio \
	fio-jobs/run \
	fio-jobs/trim-mix.fio \
	fio-jobs/verify.fio
