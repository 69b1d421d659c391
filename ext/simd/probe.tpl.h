/* Do fused multiply-adds only, to measure the highest speed of this core. Twelve chains are enough
 * to start two multiply-adds in each cycle with a latency of four cycles, and they fit into the
 * registers of every instruction set. Returns how many multiply-adds of one element were done. */
static NN_TARGET double fma_probe(ptrdiff_t rounds, void *result)
{
    enum { CHAINS = 12 };
    vec sum[CHAINS];
    const vec factor = vset1((REAL)0.999), addend = vset1((REAL)0.001);
    NN_UNROLL(12)
    for (int c = 0; c < CHAINS; c++)
        sum[c] = vset1((REAL)c);
    for (ptrdiff_t i = 0; i < rounds; i++)
        NN_UNROLL(12)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = vfma(sum[c], factor, addend);
    NN_UNROLL(12)
    for (int c = 1; c < CHAINS; c++)
        sum[0] = vadd(sum[0], sum[c]);
    *(REAL *)result = vsum(sum[0]); /* so that the compiler leaves nothing out */
    return (double)rounds * CHAINS * LANES;
}
