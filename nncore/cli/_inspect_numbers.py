"""Numbers in columns: eight decimals, fewer where they are large, the points below each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIGURES = 9


def number(value: Any, figures: int = _FIGURES) -> str:
    """Return one number; those of an array keep its precision, as NumPy prints them.

    Examples
    --------
    >>> number(0.1 + 0.2), number(np.float32(0.1)), number(1e-12 / 3), number(np.nan)
    ('0.3', '0.1', '3.3333e-13', 'nan')
    """
    return _text(value, _decimals([value], figures))


def aligned(values: Iterable[Any]) -> list[str]:
    """Return numbers as text of one width, their points below each other.

    What would have fewer than four figures left is written with an exponent, at the right side.

    Examples
    --------
    >>> aligned(np.array([0.3, -12.25, 1e-9, np.inf]))
    ['  0.3 ', '-12.25', ' 1e-09', '   inf']
    """
    values = list(values)
    decimals = _decimals(values, _FIGURES)
    texts = [_text(value, decimals) for value in values]
    pointed = [text.partition(".") for text in texts if _is_fixed(text)]
    after = max((len(point + rest) for _, point, rest in pointed), default=0)
    texts = [
        text + " " * (after - len("".join(text.partition(".")[1:]))) if _is_fixed(text) else text
        for text in texts
    ]
    width = max(map(len, texts), default=0)
    return [text.rjust(width) for text in texts]


def _is_fixed(text: str) -> bool:
    return text[-1].isdigit() and "e" not in text


def _decimals(values: Iterable[Any], figures: int) -> int:
    """Return how many decimals the largest number leaves of so many figures."""
    sizes = np.abs(np.array(list(values), np.float64))
    largest = sizes[np.isfinite(sizes) & (sizes < 10**figures)].max(initial=0.0)
    return max(figures - len(str(int(largest))), 0)


def _text(value: Any, decimals: int) -> str:
    size = abs(float(value))
    if not np.isfinite(size):
        return str(float(value))
    value = value if isinstance(value, np.floating) else np.float64(value)
    if size and not 10.0 ** min(3 - decimals, 0) <= size < 10**_FIGURES:
        return np.format_float_scientific(value, 4, unique=True, trim="-", exp_digits=2)
    return np.format_float_positional(value, decimals, unique=True, trim="-")
