"""The kinds of trials, and what each of them compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import files
import fits
import forward
import numpy as np
import quantized


class Trial(NamedTuple):
    """A kind of trial; it returns a hash that must be equal under every instruction set."""

    run: Callable[[np.random.Generator], str]
    only_first: bool = False  # nothing in it depends on the instruction set


TRIALS = {
    "network": Trial(forward.attack_network),
    "bfloat16": Trial(forward.attack_bfloat16),
    "quantized": Trial(quantized.attack_quantized),
    "function": Trial(forward.attack_function),
    "affine": Trial(forward.attack_affine),
    "callers": Trial(forward.attack_from_many_threads),
    "fit": Trial(fits.attack_fit),
    "gradients": Trial(fits.attack_gradients),
    "copies": Trial(files.attack_copies),
    "npz": Trial(files.attack_npz, only_first=True),
    "pickle": Trial(files.attack_pickle, only_first=True),
    "idx": Trial(files.attack_idx, only_first=True),
}
