/* What this compiler knows. GCC 8 and clang 6 were the first with VNNI, GCC 11 and clang 12 with AMX
 * and AVX-VNNI; Apple counts its clang otherwise. */
#ifndef NN_COMPILER_H
#define NN_COMPILER_H

#if defined(__x86_64__)
#if defined(__apple_build_version__)
#define NN_KNOWS(gcc, clang, apple) (__clang_major__ >= (apple))
#elif defined(__clang__)
#define NN_KNOWS(gcc, clang, apple) (__clang_major__ >= (clang))
#else
#define NN_KNOWS(gcc, clang, apple) (__GNUC__ >= (gcc))
#endif
#define NN_KNOWS_VNNI NN_KNOWS(8, 6, 10)
#define NN_KNOWS_AMX NN_KNOWS(11, 12, 13)
#else
#define NN_KNOWS_VNNI 0
#define NN_KNOWS_AMX 0
#endif

#endif
