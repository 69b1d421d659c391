"""Training: what stands behind `Network.fit` and `Network.gradients`.

==================  ===============================================================================
``methods.py``      the public interface: the two methods, which `Network` inherits
``settings.py``     what the two are given, checked once
``data.py``         the checks of samples, targets and their weights
``loop.py``         the epochs of a fit, and the position from which a stopped fit goes on
``trainer.py``      the Trainer, over ext/training.pyx, and the way of its weights to the network
``best_epoch.py``   early stopping
``verbose.py``      the lines and the progress bar of ``verbose=True``
``interrupts.py``   Ctrl-C at a moment at which it has to wait
==================  ===============================================================================

Nothing here imports the network, which is built on `methods.py`. The arithmetic is compiled:
ext/training.pyx, and what it includes.
"""
