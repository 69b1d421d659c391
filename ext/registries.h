/* The registries: every activation, loss and optimiser has one row here, which gives it its name.
 *
 * A row is X(name, ...), and its enumerator is NN_name. The arrays below have the order of the
 * enumerators; arrays of names end with NULL.
 */
#ifndef NN_REGISTRIES_H
#define NN_REGISTRIES_H

/* The elementwise activations. Each has an expression F(name) and a derivative D(name) in
 * math.tpl.h.
 *
 * X(name, alpha, beta, traits, init, formula, slope, note)
 *   alpha, beta  the default values of its parameters; NN_NONE if it has no such parameter
 *   traits       properties that other code relies on: NN_... below, or 0
 *   init         the default initialiser of layers with this activation (nncore/initializers.py)
 *   formula, slope, note  texts for the documentation: the function, its derivative, and the source
 *                or a remark. Where the derivative jumps, the formula gives the value used
 *                there. */
#define NN_ACTIVATIONS(X)                                                                         \
    X(identity, NN_NONE, NN_NONE, NN_SLOPE_OF_OUTPUT, "xavier", "x", "1", "")                     \
    X(step, NN_NONE, NN_NONE, NN_ZEROS_LIKELY, "xavier", "1 if x > 0 else 0", "0",                \
      "The perceptron's; step(0) is 0. Nothing can be learned through it.")                       \
    X(sigmoid, NN_NONE, NN_NONE, 0, "xavier", "1 / (1 + exp(-x))",                                \
      "s (1 - s) with s = sigmoid(x)", "")                                                        \
    X(tanh, NN_NONE, NN_NONE, 0, "xavier", "(exp(x) - exp(-x)) / (exp(x) + exp(-x))",             \
      "1 - tanh(x)^2", "")                                                                        \
    X(relu, NN_NONE, NN_NONE, NN_ZEROS_LIKELY | NN_SLOPE_OF_OUTPUT, "he", "max(x, 0)",            \
      "1 if x > 0 else 0", "Nair and Hinton (2010).")                                             \
    X(leaky_relu, 0.01, NN_NONE, 0, "he", "x if x > 0 else alpha x", "1 if x > 0 else alpha",     \
      "Maas et al. (2013).")                                                                      \
    X(elu, 1.0, NN_NONE, 0, "he", "x if x > 0 else alpha (exp(x) - 1)",                           \
      "1 if x > 0 else alpha exp(x)", "Clevert et al. (2015).")                                   \
    X(gelu, NN_NONE, NN_NONE, 0, "he", "x Phi(x), Phi the normal distribution function",          \
      "Phi(x) + x phi(x)", "Hendrycks and Gimpel (2016), the exact form with erf.")               \
    X(silu, NN_NONE, NN_NONE, 0, "he", "x sigmoid(x)",                                            \
      "s (1 + x (1 - s)) with s = sigmoid(x)", "")                                                \
    X(softplus, NN_NONE, NN_NONE, 0, "he", "log(1 + exp(x))", "sigmoid(x)",                       \
      "Glorot et al. (2011).")                                                                    \
    X(selu, NN_NONE, NN_NONE, 0, "lecun", "l x if x > 0 else l a (exp(x) - 1)",                   \
      "l if x > 0 else l a exp(x)",                                                               \
      "Klambauer et al. (2017): l = 1.0507009873554805, a = 1.6732632423543772.")                 \
    X(relu6, NN_NONE, NN_NONE, NN_ZEROS_LIKELY | NN_SLOPE_OF_OUTPUT, "he", "min(max(x, 0), 6)",   \
      "1 if 0 < x < 6 else 0", "Krizhevsky (2010).")                                              \
    X(clip, -1.0, 1.0, NN_SLOPE_OF_OUTPUT, "xavier", "min(max(x, alpha), beta)",                  \
      "1 if alpha < x < beta else 0",                                                             \
      "ONNX's Clip; by default the hard tanh of PyTorch and Keras.")                              \
    X(hard_sigmoid, 1.0 / 6, 0.5, 0, "xavier", "min(max(alpha x + beta, 0), 1)",                  \
      "alpha if 0 < alpha x + beta < 1 else 0",                                                   \
      "By default that of PyTorch and Keras, relu6(x + 3) / 6; ONNX's own alpha is 0.2. alpha "   \
      "is rounded to the dtype first, then alpha x + beta once.")                                 \
    X(hard_swish, NN_NONE, NN_NONE, 0, "he", "x relu6(x + 3) / 6",                                \
      "0 if x <= -3 else 1 if x >= 3 else (2 x + 3) / 6", "Howard et al. (2019).")                \
    X(softsign, NN_NONE, NN_NONE, 0, "xavier", "x / (1 + |x|)", "1 / (1 + |x|)^2",                \
      "Turian et al. (2009).")                                                                    \
    X(mish, NN_NONE, NN_NONE, 0, "he", "x tanh(softplus(x))",                                     \
      "t + x (1 - t^2) sigmoid(x) with t = tanh(softplus(x))", "Misra (2019).")                   \
    X(gelu_tanh, NN_NONE, NN_NONE, 0, "he", "x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)",\
      "s + x s (1 - s) 2 u' with s = sigmoid(2 u)",                                               \
      "Hendrycks and Gimpel (2016): gelu's approximation 0.5 x (1 + tanh(u)).")

/* The activations in which each output depends on all sums of its sample: sums.tpl.h. */
#define NN_ROWWISE_ACTIVATIONS(X)                                                                 \
    X(softmax, NN_NONE, NN_NONE, 0, "xavier", "exp(x_j) / sum_i exp(x_i)", "", "")                \
    X(log_softmax, NN_NONE, NN_NONE, 0, "xavier", "x_j - log(sum_i exp(x_i))", "", "")

#define NN_NONE __builtin_nan("")
enum nn_activation_trait {
    NN_ZEROS_LIKELY = 1,    /* many outputs are 0, so the next layer looks for zeros to skip */
    NN_SLOPE_OF_OUTPUT = 2, /* f'(f(x)) == f'(x), so training does not keep the sum x */
};

/* The losses: loss.tpl.h. */
#define NN_LOSSES(X) X(cross_entropy) X(binary_cross_entropy) X(mse) X(mae) X(huber) X(poisson)

/* The optimisers: optimizers.tpl.h.
 *
 * X(name, states, momentum, settings)
 *   states    how many arrays it keeps between its steps, each of the size of the weights
 *   momentum  how many more of them it keeps if its setting `momentum` is not 0
 *   settings  the names of its settings, the same as in its class in nncore/optimizers.py */
#define NN_OPTIMIZERS(X)                                                                          \
    X(sgd, 0, 1,                                                                                  \
      NN_SETTING(momentum) NN_SETTING(dampening) NN_SETTING(nesterov) NN_SETTING(weight_decay))   \
    X(adagrad, 1, 0, NN_SETTING(lr_decay) NN_SETTING(weight_decay) NN_SETTING(eps))               \
    X(rmsprop, 1, 1,                                                                              \
      NN_SETTING(alpha) NN_SETTING(eps) NN_SETTING(weight_decay) NN_SETTING(momentum))            \
    X(adam, 2, 0,                                                                                 \
      NN_SETTING(beta1) NN_SETTING(beta2) NN_SETTING(eps) NN_SETTING(weight_decay))               \
    X(adamw, 2, 0,                                                                                \
      NN_SETTING(beta1) NN_SETTING(beta2) NN_SETTING(eps) NN_SETTING(weight_decay))
#define NN_MOST_SETTINGS 4

/* The operations that a network is compiled into (contract.h), without dense and dropout, which
 * have kernels of their own. Each of these has as many outputs as inputs, and kernels in
 * operations.tpl.h. */
#define NN_OPERATIONS(X) X(activate) X(softmax) X(log_softmax)

#define NN_ENUM(name, ...) NN_##name,
typedef enum nn_activation {
    NN_ACTIVATIONS(NN_ENUM) NN_ROWWISE_ACTIVATIONS(NN_ENUM) NN_ACTIVATION_COUNT
} nn_activation;
typedef enum nn_loss { NN_LOSSES(NN_ENUM) NN_LOSS_COUNT } nn_loss;
typedef enum nn_optimizer { NN_OPTIMIZERS(NN_ENUM) NN_OPTIMIZER_COUNT } nn_optimizer;
#undef NN_ENUM
#define NN_ENUM(name, ...) NN_operation_##name,
typedef enum nn_operation_kind {
    NN_OPERATIONS(NN_ENUM) NN_operation_dense, NN_operation_dropout, NN_OPERATION_COUNT
} nn_operation_kind;
#undef NN_ENUM

/* A row of NN_ACTIVATIONS. */
typedef struct nn_activation_row {
    const char *name;
    double alpha, beta; /* NaN if it has no such parameter */
    int traits;
    const char *init, *formula, *slope, *note;
} nn_activation_row;

extern const nn_activation_row nn_activations[]; /* NN_ACTIVATION_COUNT rows */
extern const char *const nn_loss_names[], *const nn_optimizer_names[],
    *const nn_operation_names[];
extern const char *const nn_optimizer_settings[][NN_MOST_SETTINGS + 1]; /* each ends with NULL */
extern const int nn_optimizer_states[], nn_optimizer_momentum_states[];

#endif
