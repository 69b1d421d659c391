"""The compiled module of ext/runner.pyx, as type checkers see it."""

from nncore.network import Network

class Runner:
    network: Network
    k: int
    m: int
    is_double: bool
    def __init__(self, network: Network) -> None: ...
    def refresh(self) -> None: ...
