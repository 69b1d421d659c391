/* The verbs about groups for instruction sets that have nothing better for them. dot_scalar.h says
 * what each gives. */
NN_VERB unsigned nonzero_few(const uint8_t *x, ptrdiff_t groups)
{
    unsigned bits = 0;
    for (ptrdiff_t g = 0; g < groups; g++) {
        uint32_t group;
        memcpy(&group, x + g * 4, sizeof group);
        bits |= (unsigned)(group != 0) << g;
    }
    return bits;
}
NN_VERB int store_groups(int32_t *p, unsigned bits, int32_t first)
{
    int count = 0;
    for (; bits; bits &= bits - 1)
        p[count++] = first + __builtin_ctz(bits);
    return count;
}
