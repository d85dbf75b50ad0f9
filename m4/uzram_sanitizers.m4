# SPDX-License-Identifier: BSD-3-Clause
# uzram_sanitizers.m4: builds in which the compiler's sanitizers watch the tests.

# UZRAM_SANITIZERS(CFLAGS-VARIABLE, LDFLAGS-VARIABLE): --enable-sanitizers=LIST, for example
# address,undefined or thread. Every finding ends the program with a failure.
AC_DEFUN([UZRAM_SANITIZERS], [
    AC_ARG_ENABLE([sanitizers],
        [AS_HELP_STRING([--enable-sanitizers=LIST],
            [build with these of the compiler's sanitizers: address,undefined or thread])],
        [], [enable_sanitizers=no])
    AS_CASE([$enable_sanitizers],
        [no], [],
        [yes], [AC_MSG_ERROR([--enable-sanitizers: name them, address,undefined or thread])],
        [
            uzram_sanitize="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all"
            uzram_saved_cflags=$CFLAGS
            CFLAGS="$uzram_sanitize $CFLAGS"
            AC_MSG_CHECKING([whether $CC links with $uzram_sanitize])
            AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])], [
                AC_MSG_RESULT([no])
                AC_MSG_ERROR([--enable-sanitizers=$enable_sanitizers: not what $CC can link; name \
address,undefined or thread])
            ])
            CFLAGS=$uzram_saved_cflags
            $1="$$1 $uzram_sanitize -fno-omit-frame-pointer"
            $2="$$2 $uzram_sanitize"
        ])
])
