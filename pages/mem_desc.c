/* SPDX-License-Identifier: BSD-3-Clause */
#include "pages/mem_desc.h"

static const char *const names[MEM_DESC_TYPE_COUNT] = {
    [MEM_DESC_NONE] = "none",       [MEM_DESC_FREE] = "free",
    [MEM_DESC_OFFLINE] = "offline", [MEM_DESC_RESERVED] = "reserved",
    [MEM_DESC_GUARD] = "guard",     [MEM_DESC_DESCRIPTOR] = "descriptor",
    [MEM_DESC_RAW] = "raw",         [MEM_DESC_ZSMALLOC] = "zsmalloc",
    [MEM_DESC_ZBUD] = "zbud",       [MEM_DESC_Z3FOLD] = "z3fold",
};

const char *mem_desc_type_name(enum mem_desc_type type)
{
    return (unsigned)type < MEM_DESC_TYPE_COUNT ? names[type] : "?";
}
