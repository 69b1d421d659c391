/* What this compiler knows: GCC 11 and clang 12 were the first with AVX-VNNI and AMX. */
#ifndef NN_COMPILER_H
#define NN_COMPILER_H

#if defined(__x86_64__)                                                                           \
    && (defined(__clang__) ? __clang_major__ >= 12 : defined(__GNUC__) && __GNUC__ >= 11)
#define NN_KNOWS_AMX
#endif

#endif
