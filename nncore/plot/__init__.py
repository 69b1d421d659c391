"""Plots: of networks, of what they learn and read, and of how they work; they need matplotlib.

Each function takes ``ax``, the Axes to draw to, and returns it; without it, it draws to a new
figure of pyplot's. A sheet of several panels has them inside of its Axes, as ``ax.child_axes``.
``ax`` may also be an empty ``matplotlib.figure.Figure``, which then gets the size that suits: so
programs draw without pyplot. ``nncore plot`` does it all on the command line.

Of a network and its results: `digits`, `confusion_matrix`, `history`, `weights`,
`layer_activations`, `layer_gradients`, `latency`. How networks work: `activation_functions`,
`step_and_sigmoid`, `line_and_curve`, `softmax`, `xor_regions`, `loss_surface`, `batch_sizes`.
"""

from nncore.plot._curves import activation_functions, line_and_curve, softmax, step_and_sigmoid
from nncore.plot._images import digits, weights
from nncore.plot._layers import layer_activations, layer_gradients
from nncore.plot._results import batch_sizes, confusion_matrix, history, latency
from nncore.plot._surfaces import loss_surface, xor_regions

__all__ = [
    "activation_functions",
    "batch_sizes",
    "confusion_matrix",
    "digits",
    "history",
    "latency",
    "layer_activations",
    "layer_gradients",
    "line_and_curve",
    "loss_surface",
    "softmax",
    "step_and_sigmoid",
    "weights",
    "xor_regions",
]
