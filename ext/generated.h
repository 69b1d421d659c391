/* Comes before what Cython writes.
 *
 * Raising an error takes no time that matters: the compiler makes the code for it small, and moves
 * it out of the way. The package is 1 % smaller for it. */
#ifndef NN_GENERATED_H
#define NN_GENERATED_H
#if defined(__GNUC__)
static void __Pyx_AddTraceback(const char *function, int c_line, int line, const char *file)
    __attribute__((cold));
/* Strings that are not compressed need no function that decompresses them. */
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#endif
