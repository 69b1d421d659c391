/* The floating-point environment. Kernels run with rounding to nearest and without flush-to-zero,
 * whatever another library has set in this thread. nn_enter_fp sets this and returns the settings
 * that it found; nn_leave_fp restores them. */
#ifndef NN_FP_ENVIRONMENT_H
#define NN_FP_ENVIRONMENT_H

#if defined(__x86_64__)
#include <xmmintrin.h>

/* The value of MXCSR after a reset: all exceptions masked, rounding to nearest, no DAZ, no FTZ. Its
 * low six bits are flags, not settings. */
enum { DEFAULT_MXCSR = 0x1f80, FLAGS = 0x3f };

static inline unsigned long long nn_enter_fp(void)
{
    const unsigned found = _mm_getcsr();
    if ((found & ~(unsigned)FLAGS) != DEFAULT_MXCSR)
        _mm_setcsr(DEFAULT_MXCSR);
    return found;
}

static inline void nn_leave_fp(unsigned long long found)
{
    if (((unsigned)found & ~(unsigned)FLAGS) != DEFAULT_MXCSR)
        _mm_setcsr((unsigned)found);
}

#elif defined(__aarch64__)

/* FPCR = 0 means rounding to nearest, no flush-to-zero, no traps. */
static inline unsigned long long nn_enter_fp(void)
{
    unsigned long long found;
    __asm__ volatile("mrs %0, fpcr" : "=r"(found));
    if (found)
        __asm__ volatile("msr fpcr, %0" : : "r"(0ULL));
    return found;
}

static inline void nn_leave_fp(unsigned long long found)
{
    if (found)
        __asm__ volatile("msr fpcr, %0" : : "r"(found));
}

#else /* Elsewhere the environment stays as it is. */

static inline unsigned long long nn_enter_fp(void) { return 0; }
static inline void nn_leave_fp(unsigned long long found) { (void)found; }

#endif
#endif
