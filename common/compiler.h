/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compiler.h: the few compiler features that the code uses by name.
 */
#ifndef UZRAM_COMMON_COMPILER_H
#define UZRAM_COMMON_COMPILER_H

#include <assert.h> /* static_assert */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_use                   __attribute__((warn_unused_result))
#define printf_like(string, first) __attribute__((format(printf, string, first)))
#define cache_aligned              __attribute__((aligned(64)))
#define likely(x)                  __builtin_expect(!!(x), 1)
#define unlikely(x)                __builtin_expect(!!(x), 0)

#define array_count(array)                  (sizeof(array) / sizeof((array)[0]))
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* A pause in a spin loop: tells the core that another thread is awaited. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/*
 * A checked build (UZRAM_CHECKED, what the tests link) verifies what a release build assumes:
 * lock ranks, object states, arguments that only a bug can get wrong.
 */
#ifdef UZRAM_CHECKED
void checked_failed(const char *file, int line, const char *condition) __attribute__((noreturn));
#define checked(condition) ((condition) ? (void)0 : checked_failed(__FILE__, __LINE__, #condition))
#else
#define checked(condition) ((void)sizeof(!!(condition)))
#endif

#endif
