/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drivers.h: between zpool.c and the drivers: a new driver adds its line here and in zpool.c.
 */
#ifndef UZRAM_ZPOOL_DRIVERS_H
#define UZRAM_ZPOOL_DRIVERS_H

#include "zpool/zpool.h"

extern const struct zpool_driver zsmalloc_driver;
extern const struct zpool_driver z3fold_driver;
extern const struct zpool_driver zbud_driver;

/* Fills in the common part of a pool that a driver's create has allocated, zeroed. */
void zpool_init(struct zpool *pool, const struct zpool_driver *driver,
                const struct zpool_config *config, size_t object_max_bytes);

#endif
