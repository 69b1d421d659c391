/* The operations that have as many outputs as inputs: nn_apply in contract.h. For each row of
 * NN_OPERATIONS there are NAME_tile, NAME_row and NAME_backward here. A macro defines NAME_backward
 * as NULL if there is no such kernel. */

static NN_TARGET void activate_tile(const nn_layer *layer, const void *x, void *y, int vectors)
{
    activate(layer->activation, layer->alpha, layer->beta, x, y, layer->m * vectors * LANES);
}

static NN_TARGET void activate_row(const nn_layer *layer, const void *x, void *y)
{
    activate(layer->activation, layer->alpha, layer->beta, x, y, layer->m);
}

static NN_TARGET void activate_backward(const nn_layer *layer, const void *x, void *d,
                                        ptrdiff_t width)
{
    backward(layer->activation, layer->alpha, layer->beta, x, d, layer->m * width);
}

static NN_TARGET void softmax_row(const nn_layer *layer, const void *x, void *y)
{
    softmax(0, x, y, layer->m);
}

static NN_TARGET void log_softmax_row(const nn_layer *layer, const void *x, void *y)
{
    softmax(1, x, y, layer->m);
}

NN_MATH void softmax_any_tile(int logarithm, const nn_layer *layer, const void *x, void *y,
                              int vectors)
{
    if (x != y)
        memcpy(y, x, (size_t)(layer->m * vectors * LANES) * sizeof(REAL));
    tile_softmax(logarithm, y, layer->m, vectors);
}

static NN_TARGET void softmax_tile(const nn_layer *layer, const void *x, void *y, int vectors)
{
    softmax_any_tile(0, layer, x, y, vectors);
}

static NN_TARGET void log_softmax_tile(const nn_layer *layer, const void *x, void *y, int vectors)
{
    softmax_any_tile(1, layer, x, y, vectors);
}

/* These need no kernel of their own: a softmax is learned through as part of the cross-entropy,
 * whose derivative is by the logits. */
#define softmax_backward NULL
#define log_softmax_backward NULL
