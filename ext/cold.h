/* Included at the top of what Cython writes. To raise an error takes no time that matters: so the
 * compiler makes the code for it small, and moves it out of the way. */
#ifndef NN_COLD_H
#define NN_COLD_H
#if defined(__GNUC__)
static void __Pyx_AddTraceback(const char *function, int c_line, int line, const char *file)
    __attribute__((cold));
#endif
#endif
