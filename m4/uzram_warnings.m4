# SPDX-License-Identifier: BSD-3-Clause
# uzram_warnings.m4: the warnings the code is held to, each tried before it is used.

# UZRAM_TRY_CFLAG(VARIABLE, FLAG): appends FLAG to VARIABLE if the compiler takes it without a word.
AC_DEFUN([UZRAM_TRY_CFLAG], [
    AS_VAR_PUSHDEF([cache], [uzram_cv_cflag_$2])
    AC_CACHE_CHECK([whether $CC takes $2], [cache], [
        uzram_saved_cflags=$CFLAGS
        CFLAGS="-Werror $2 $CFLAGS"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([cache], [yes])],
            [AS_VAR_SET([cache], [no])])
        CFLAGS=$uzram_saved_cflags
    ])
    AS_VAR_IF([cache], [yes], [$1="$$1 $2"])
    AS_VAR_POPDEF([cache])
])

# UZRAM_WARNINGS(VARIABLE): appends the warnings, and -Werror behind them with --enable-werror.
AC_DEFUN([UZRAM_WARNINGS], [
    AC_ARG_ENABLE([werror],
        [AS_HELP_STRING([--enable-werror], [end the build at the first compiler warning])],
        [], [enable_werror=no])
    m4_foreach_w([flag], [
        -Wall
        -Wextra
        -Wundef
        -Wshadow
        -Wstrict-prototypes
        -Wold-style-definition
        -Wmissing-prototypes
        -Wmissing-declarations
        -Wredundant-decls
        -Wnested-externs
        -Wpointer-arith
        -Wwrite-strings
        -Wvla
        -Walloca
        -Wformat=2
        -Wnull-dereference
        -Wimplicit-fallthrough
        -Wunused-macros
        -Wduplicated-cond
        -Wduplicated-branches
        -Wlogical-op
        -Wtrampolines
        -Wconditional-uninitialized
        -Wunreachable-code-aggressive
    ], [UZRAM_TRY_CFLAG([$1], m4_defn([flag]))])
    AS_IF([test "$enable_werror" != no], [$1="$$1 -Werror"])
])
