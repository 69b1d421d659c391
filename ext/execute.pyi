"""The executors of ext/execute.pyx, as type checkers see them."""

from nncore._plan import Plan

def threads_for(plan: Plan, n: int) -> int: ...
