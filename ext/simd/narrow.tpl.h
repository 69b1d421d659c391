/* Weights that are narrower than REAL (panels.h). They are widened exactly while they are read.
 * Functions that take `narrow`, a constant, are for lines of bfloat16 weights or of REALs. */

#if NN_DOUBLE /* only floats may have narrow weights */
enum { NARROWER = 1 };
NN_INLINE int is_narrow(const nn_layer *layer) { return (void)layer, 0; }
NN_MATH vec vload_bfloat16(const uint16_t *line, int from) { return (void)line, vset1(from); }
#else
enum { NARROWER = 2 }; /* how many narrow weights take the place of a REAL */
NN_INLINE int is_narrow(const nn_layer *layer) { return layer->weights == NN_bfloat16_weights; }
#endif

/* Where several samples wait for a line of weights that comes from memory, it is fetched so many
 * bytes before it is read: caches fetch by themselves only to the end of a page. From 2048 to 6144
 * bytes it took the same time, with 1024 nearly as long as without. */
enum { FETCHED = 3072 };

/* The distance between the panels of a layer, in REALs. */
NN_INLINE ptrdiff_t panels_apart(const nn_layer *layer)
{
    const nn_weights kind = is_narrow(layer) ? NN_bfloat16_weights : WEIGHTS;
    return nn_panel_bytes(kind, layer->k) / (ptrdiff_t)sizeof(REAL);
}

/* Line k of the lines w. */
NN_INLINE const REAL *line_at(const int narrow, const REAL *w, ptrdiff_t k)
{
    return w + k * (PANEL / (narrow ? NARROWER : 1));
}

/* The vector of weights from that of output `from` on. */
NN_MATH vec load_weights(const int narrow, const REAL *line, int from)
{
    return narrow ? vload_bfloat16((const uint16_t *)line, from) : vload(line + from);
}
