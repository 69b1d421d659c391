"""Read a pickle that holds NumPy arrays, without the `pickle` module and without running it.

A pickle is a program for a small stack machine. This machine knows the operations that a dict of
arrays is written with, in protocols 0 to 5 and from Python 2 as well, and no other: none that
imports, none that creates objects, none that looks anything up outside the file. The few functions
that an array's pickle calls are the stand-ins of `_stand_ins.py`; every other name is refused by
name. What it allocates is bounded by the length of the file: bytes are taken only where the file
still has them, and the number of operations is limited.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import IO, Any

from nncore._validation import counted, excerpt
from nncore.formats._opcodes import (
    CONSTANTS,
    COUNTED,
    FIXED,
    GET,
    PUT,
    TUPLES,
    decimal,
    latin1,
    unrepr,
    utf8,
)
from nncore.formats._stand_ins import FillsIn, StandIn, known

# An array takes about 30 operations, so this is room for thousands of layers.
MAX_OPERATIONS = 200_000

_MARK = object()


class Machine:
    """One run over one file.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        Its length in bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size
        self._left = size
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return what the pickle holds: None, numbers, text, bytes, tuples, dicts and stand-ins.

        Raises
        ------
        ValueError
            The pickle is broken, or needs anything beyond a dict of arrays.
        """
        for _ in range(MAX_OPERATIONS):
            code = self._take(1)
            if code == b".":
                return self._finish()
            self._step(code)
        raise ValueError(f"takes more than {MAX_OPERATIONS} operations, expected a dict of arrays")

    def _finish(self) -> Any:
        if self._left:
            raise ValueError(f"has {counted(self._left, 'byte')} after the end of its pickle")
        if len(self._stack) != 1:
            raise ValueError("is broken: the pickle leaves something unfinished")
        return self._pop()

    def _step(self, code: bytes) -> None:
        stack = self._stack
        if code in COUNTED:
            layout, decode = COUNTED[code]
            stack.append(decode(self._take(self._number(layout))))
        elif code in FIXED:
            stack.append(self._number(FIXED[code]))
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in TUPLES:
            items = [self._pop() for _ in range(TUPLES[code])]
            stack.append(tuple(reversed(items)))
        elif code in PUT:
            self._put(self._number(PUT[code]))
        elif code in GET:
            self._get(self._number(GET[code]))
        else:
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise ValueError(self._refusal(code))
            operation(self)

    # ---- the file

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= self._left:
            raise ValueError(
                f"is cut short or broken: at byte {self._size - self._left} "
                f"it asks for {counted(count, 'byte')}, expected at most {self._left}"
            )
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("became shorter while it was read")
        self._left -= count
        return data

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self, limit: int | None = None) -> bytes:
        limit = self._left if limit is None else min(limit, self._left)
        line = self._file.readline(limit)
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise ValueError("is cut short or broken: a line has no end")
        return line[:-1]

    # ---- the stack and the memo

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("is broken: an operation finds too few values")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                items = self._stack[at + 1 :]
                del self._stack[at:]
                return items
        raise ValueError("is broken: a mark is missing")

    def _put(self, index: int) -> None:
        # The memo is a dict: an array, as pickle has it, would be as long as the largest index.
        value = self._pop()
        self._stack.append(value)
        self._memo[index] = value

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise ValueError(f"is broken: it refers to value {index}, which it never stored")
        self._stack.append(self._memo[index])

    # ---- operations without a table

    def _protocol(self) -> None:
        version = self._number("<B")
        if version > 5:
            raise ValueError(f"has pickle protocol {version}, expected 0 to 5")

    def _frame(self) -> None:
        length = self._number("<Q")
        if length > self._left:
            raise ValueError(
                f"is cut short: a frame has {length} bytes, expected at most {self._left}"
            )

    def _mark(self) -> None:
        self._stack.append(_MARK)

    def _tuple(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def _empty_dict(self) -> None:
        self._stack.append({})

    def _dict(self) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._set(items)

    def _set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _set_items(self) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._pop()
        self._stack.append(target)
        if type(target) is not dict or len(items) % 2:
            raise ValueError("is broken: items are set on something that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Only text is ever hashed: the hash of a deeply nested tuple overflows the C stack.
            if type(key) is not str:
                raise ValueError(f"has a key of type {type(key).__name__}, expected W1, b1, ...")
            if key in target:
                raise ValueError(f"has the key '{excerpt(key)}' twice")
            target[key] = value

    def _integer(self) -> None:
        line = self._line(64)
        self._stack.append(line == b"01" if line in (b"00", b"01") else decimal(line))

    def _long_integer(self) -> None:
        self._stack.append(decimal(self._line(64).removesuffix(b"L")))

    def _float(self) -> None:
        self._stack.append(float(self._line(64)))

    def _unicode(self) -> None:
        self._stack.append(self._line().decode("raw-unicode-escape"))

    def _string(self) -> None:
        self._stack.append(unrepr(self._line()))

    def _put_text(self) -> None:
        self._put(decimal(self._line(64)))

    def _get_text(self) -> None:
        self._get(decimal(self._line(64)))

    def _memoize(self) -> None:
        self._put(len(self._memo))

    def _global(self) -> None:
        module, name = utf8(self._line()), utf8(self._line())
        self._stack.append(known(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("is broken: the name of a function is not text")
        self._stack.append(known(module, name))

    def _instance(self) -> None:
        module, name = utf8(self._line()), utf8(self._line())
        known(module, name)
        raise ValueError(self._refusal(b"i"))

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(function) is not StandIn or type(arguments) is not tuple:
            raise ValueError("is broken: it calls something that is not a function")
        self._stack.append(function(arguments))

    def _build(self) -> None:
        state, target = self._pop(), self._pop()
        self._stack.append(target)
        if not isinstance(target, FillsIn):
            raise ValueError(f"is broken: it fills in a {type(target).__name__}, not an array")
        target.fill(state)

    def _refusal(self, code: bytes) -> str:
        from pickletools import code2op  # type: ignore[attr-defined]

        operation = code2op.get(latin1(code))
        where = f"at byte {self._size - self._left - 1}"
        if operation is None:
            return f"is no pickle: {where} stands {code!r}, which is no operation"
        return (
            f"uses the pickle operation {operation.name} {where}, "
            "which a dict of arrays never needs"
        )


_OPERATIONS: dict[bytes, Callable[[Machine], None]] = {
    b"\x80": Machine._protocol,
    b"\x95": Machine._frame,
    b"(": Machine._mark,
    b"t": Machine._tuple,
    b"}": Machine._empty_dict,
    b"d": Machine._dict,
    b"s": Machine._set_item,
    b"u": Machine._set_items,
    b"I": Machine._integer,
    b"L": Machine._long_integer,
    b"F": Machine._float,
    b"V": Machine._unicode,
    b"S": Machine._string,
    b"p": Machine._put_text,
    b"g": Machine._get_text,
    b"\x94": Machine._memoize,
    b"c": Machine._global,
    b"\x93": Machine._stack_global,
    b"i": Machine._instance,
    b"R": Machine._reduce,
    b"b": Machine._build,
}
