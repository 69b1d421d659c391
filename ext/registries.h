/* The registries: every activation, loss and optimiser has one row here, from which all names come.
 *
 * A row is X(name, ...). Enumerators are NN_name; the arrays of names below end with NULL and stand
 * in the order of the enumerators.
 */
#ifndef NN_REGISTRIES_H
#define NN_REGISTRIES_H

/* The elementwise activations: an expression f_name and its derivative d_name in math.tpl.h each.
 * softmax and log_softmax are no functions of one element; they follow behind. */
#define NN_ACTIVATIONS(X)                                                                         \
    X(identity) X(step) X(sigmoid) X(tanh) X(relu) X(leaky_relu) X(elu) X(gelu) X(silu) X(softplus)

/* The losses: loss.tpl.h. */
#define NN_LOSSES(X) X(cross_entropy) X(binary_cross_entropy) X(mse) X(mae) X(huber)

/* The optimisers: grad.tpl.h. X(name, states, momentum): how many arrays of the size of the weights
 * it remembers, and how many more where it has a momentum other than 0. */
#define NN_OPTIMIZERS(X) X(sgd, 0, 1) X(adagrad, 1, 0) X(rmsprop, 1, 1) X(adam, 2, 0) X(adamw, 2, 0)

/* The operations that a network is compiled into: contract.h. dense and dropout have kernels of their
 * own; each other one gives as many numbers as it takes, by its kernels in operations.tpl.h. */
#define NN_OPERATIONS(X) X(activate) X(softmax) X(log_softmax)

#define NN_ENUM(name, ...) NN_##name,
typedef enum nn_activation { NN_ACTIVATIONS(NN_ENUM) NN_softmax, NN_log_softmax } nn_activation;
typedef enum nn_loss { NN_LOSSES(NN_ENUM) NN_LOSS_COUNT } nn_loss;
typedef enum nn_optimizer { NN_OPTIMIZERS(NN_ENUM) NN_OPTIMIZER_COUNT } nn_optimizer;
#undef NN_ENUM
#define NN_ENUM(name, ...) NN_operation_##name,
typedef enum nn_operation_kind {
    NN_OPERATIONS(NN_ENUM) NN_operation_dense, NN_operation_dropout, NN_OPERATION_COUNT
} nn_operation_kind;
#undef NN_ENUM

extern const char *const nn_activation_names[], *const nn_loss_names[], *const nn_optimizer_names[],
    *const nn_operation_names[];
extern const int nn_optimizer_states[], nn_optimizer_momentum_states[];

#endif
