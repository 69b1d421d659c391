"""Networks made elsewhere: one module for each library, which is imported when it is asked for.

The modules say, step by step, what a model of the other library computes; `_assembler` makes layers
of that. None of the other libraries is needed to import nncore.
"""
