"""Networks in whole numbers of 8 bits: a quarter of the size, faster, nearly the same answers.

`quantize` makes a `QuantizedNetwork` from a float network and some samples; `calibration` decides
what the whole numbers stand for.
"""

from __future__ import annotations

from nncore.layers.quantized_dense import QuantizedDense
from nncore.quantized.network import QuantizedNetwork
from nncore.quantized.quantization import quantize

__all__ = ["QuantizedDense", "QuantizedNetwork", "quantize"]
