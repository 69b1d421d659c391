/* What float and double differ in, for one instance of the templates: see instance.c. */
#include <stdint.h>
#include <string.h>

#include "../contract.h"

#if NN_DOUBLE
typedef double REAL;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#else
typedef float REAL;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SQRT_HALF 0x1.6a09e6p-1f
#endif

#define PANEL (NN_LINE_BYTES / (int)sizeof(REAL))
#define NN_INLINE static inline __attribute__((always_inline))
#define NN_VERB NN_INLINE NN_TARGET
