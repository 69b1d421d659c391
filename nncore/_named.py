"""Every activation under its own name: what `nncore` takes `nncore.relu` and the others from.

setup.py writes the stub beside it, for type checkers and editors, from ext/registries.h.
"""

from nncore.activations import REGISTRY

__all__ = list(REGISTRY)
globals().update(REGISTRY)
