"""Data to learn and to try with: MNIST, and handwritten-looking digits that need no file."""

from .digits import make_digits
from .idx import read_idx, write_idx
from .mnist import find_mnist, load_mnist
from .pictures import prepare_digit

__all__ = ["find_mnist", "load_mnist", "make_digits", "prepare_digit", "read_idx", "write_idx"]
