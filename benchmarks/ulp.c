/* The largest error of float results, in ULP; compiled by benchmarks/accuracy.py when it runs. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Distance of y from the true value in units of the float spacing there: 2^(exponent - 23), with the
 * exponent of the smallest normal number (or `least`, if that is more) below it. A NaN or an infinity
 * that is right is no error; one that is wrong is an infinite one. */
double largest_error(const float *y, const double *true_, ptrdiff_t n, int least, ptrdiff_t *where)
{
    double worst = -1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double wanted = true_[i], came = y[i];
        uint64_t bits;
        memcpy(&bits, &wanted, sizeof bits);
        int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
        exponent = exponent < least ? least : exponent;
        uint64_t inverse_bits = (uint64_t)(1023 + 23 - exponent) << 52;
        double inverse, error;
        memcpy(&inverse, &inverse_bits, sizeof inverse);
        error = fabs(came - wanted) * inverse;
        if (!(error <= worst)) {
            if (came == wanted || (came != came && wanted != wanted) ||
                (isinf(came) && fabs(wanted) >= 0x1.ffffffp127))
                continue; /* beyond the largest float by half a unit, infinity is right */
            worst = error != error ? INFINITY : error;
            *where = i;
        }
    }
    return worst < 0 ? 0 : worst;
}
