"""The compiled backpropagation of ext/backprop.pyx: for training.pyx only, nothing for Python."""
