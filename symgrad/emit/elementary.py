"""Functions of one number for compiled code: written out, so that a loop over entries is vectorised.

Generated modules carry the source of those that they call. A compiler has such functions as calls for one number at a
time, which costs ten times as much. Here nothing branches: exponents are set as bits, and x is reduced by multiples of
log 2 to |r| <= log(2)/2, where a Taylor polynomial is exact to rounding. Errors are below two units in the last place.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def _exp64(x: Any) -> Any:
    a = 710.0 if x > 710.0 else x
    a = -746.0 if a < -746.0 else a
    shifted = a * 1.4426950408889634 + 6755399441055744.0  # the multiple of log 2 is in the lowest bits
    m = shifted - 6755399441055744.0
    r = (a - m * 0.6931471803691238) - m * 1.9082149292705877e-10
    p = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    p = ((p * r + 2.505210838544172e-08) * r + 2.755731922398589e-07) * r + 2.7557319223985893e-06
    p = ((p * r + 2.48015873015873e-05) * r + 0.0001984126984126984) * r + 0.001388888888888889
    p = ((p * r + 0.008333333333333333) * r + 0.041666666666666664) * r + 0.16666666666666666
    p = (p * r + 0.5) * r * r + r
    k = np.float64(shifted).view(np.int64) - 4843621399236968448
    half = k >> 1  # twice half of the exponent: results below the normal range are reached in the second step
    first = np.int64((half + 1023) << 52).view(np.float64)
    return (p + 1.0) * first * np.int64((k - half + 1023) << 52).view(np.float64)


def _exp32(x: Any) -> Any:
    a = np.float32(89.0) if x > np.float32(89.0) else np.float32(x)
    a = np.float32(-104.0) if a < np.float32(-104.0) else a
    shifted = a * np.float32(1.442695) + np.float32(12582912.0)
    m = shifted - np.float32(12582912.0)
    r = (a - m * np.float32(0.693359375)) + m * np.float32(2.1219444e-4)
    p = (np.float32(1.9841270e-4) * r + np.float32(1.3888889e-3)) * r + np.float32(8.3333333e-3)
    p = ((p * r + np.float32(4.1666667e-2)) * r + np.float32(1.6666667e-1)) * r + np.float32(0.5)
    p = p * r * r + r
    k = np.int32(np.float32(shifted).view(np.int32) - 1262485504)
    half = np.int32(k >> 1)
    first = np.int32((half + 127) << 23).view(np.float32)
    return (p + np.float32(1.0)) * first * np.int32((k - half + 127) << 23).view(np.float32)


def _expm164(x: Any) -> Any:
    a = 710.0 if x > 710.0 else x
    a = -40.0 if a < -40.0 else a
    shifted = a * 1.4426950408889634 + 6755399441055744.0
    m = shifted - 6755399441055744.0
    r = (a - m * 0.6931471803691238) - m * 1.9082149292705877e-10
    p = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    p = ((p * r + 2.505210838544172e-08) * r + 2.755731922398589e-07) * r + 2.7557319223985893e-06
    p = ((p * r + 2.48015873015873e-05) * r + 0.0001984126984126984) * r + 0.001388888888888889
    p = ((p * r + 0.008333333333333333) * r + 0.041666666666666664) * r + 0.16666666666666666
    p = (p * r + 0.5) * r * r + r
    k = np.float64(shifted).view(np.int64) - 4843621399236968448
    half = np.int64((k + 1022) << 52).view(np.float64)  # of the power, which may be out of range
    return (half * p + (half - 0.5)) * 2.0


def _expm132(x: Any) -> Any:
    a = np.float32(89.0) if x > np.float32(89.0) else np.float32(x)
    a = np.float32(-20.0) if a < np.float32(-20.0) else a
    shifted = a * np.float32(1.442695) + np.float32(12582912.0)
    m = shifted - np.float32(12582912.0)
    r = (a - m * np.float32(0.693359375)) + m * np.float32(2.1219444e-4)
    p = (np.float32(1.9841270e-4) * r + np.float32(1.3888889e-3)) * r + np.float32(8.3333333e-3)
    p = ((p * r + np.float32(4.1666667e-2)) * r + np.float32(1.6666667e-1)) * r + np.float32(0.5)
    p = p * r * r + r
    k = np.int32(np.float32(shifted).view(np.int32) - 1262485504)
    half = np.int32((k + 126) << 23).view(np.float32)
    return (half * p + (half - np.float32(0.5))) * np.float32(2.0)


def _tanh64(x: Any) -> Any:
    a = abs(x)
    t = _expm164(40.0 if a > 20.0 else a + a)
    return math.copysign(t / (t + 2.0), x)


def _tanh32(x: Any) -> Any:
    a = abs(np.float32(x))
    t = _expm132(np.float32(20.0) if a > np.float32(10.0) else a + a)
    return math.copysign(t / (t + np.float32(2.0)), np.float32(x))


def _log64(x: Any) -> Any:
    small = x < 2.2250738585072014e-308
    y = x * 18014398509481984.0 if small else x  # 2**54
    bits = np.float64(y).view(np.int64) + 2638147582215219  # so that 1 lies in the middle of a power's range
    e = np.float64((bits >> 52) - 1023 - (54 if small else 0))
    f = np.int64((bits & 4503599627370495) + 4604544271217802189).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = (0.14798198605116586 * z + 0.15313837699209373) * z + 0.1818357216161805
    p = ((p * z + 0.22222198432149784) * z + 0.2857142874366239) * z + 0.3999999999940942
    p = (p * z + 0.6666666666666735) * z
    h = 0.5 * f * f
    value: Any = e * 0.6931471803691238 - ((h - (s * (h + p) + e * 1.9082149292705877e-10)) - f)
    value = x if x > 1.7976931348623157e308 else value
    value = -np.inf if x == 0.0 else value
    return value if x >= 0.0 else np.nan


def _log32(x: Any) -> Any:
    small = np.float32(x) < np.float32(1.1754944e-38)
    y = np.float32(x) * np.float32(33554432.0) if small else np.float32(x)  # 2**25
    bits = np.int32(np.float32(y).view(np.int32) + 4913933)
    e = np.float32(np.int32(bits >> 23) - 127 - (25 if small else 0))
    f = np.int32((bits & 8388607) + 1060439283).view(np.float32) - np.float32(1.0)
    s = f / (np.float32(2.0) + f)
    z = s * s
    p = (np.float32(0.24279079) * z + np.float32(0.28498787)) * z + np.float32(0.4000097)
    p = (p * z + np.float32(0.6666666)) * z
    h = np.float32(0.5) * f * f
    value = e * np.float32(0.69313812) - ((h - (s * (h + p) + e * np.float32(9.0580006e-6))) - f)
    value = np.float32(x) if x > np.float32(3.4028235e38) else value
    value = np.float32(-np.inf) if x == np.float32(0.0) else value
    return value if x >= np.float32(0.0) else np.float32(np.nan)


def _log1p64(x: Any) -> Any:
    u = 1.0 + x
    lost = x - (u - 1.0) if x < 1.0 else 1.0 - (u - x)  # what rounding u has cost
    known = u > 0.0 and u < 1.7976931348623157e308
    return _log64(u) + (lost / u if known else 0.0)


def _log1p32(x: Any) -> Any:
    u = np.float32(1.0) + np.float32(x)
    lost = x - (u - np.float32(1.0)) if x < np.float32(1.0) else np.float32(1.0) - (u - x)
    known = u > np.float32(0.0) and u < np.float32(3.4028235e38)
    return _log32(u) + (np.float32(lost / u) if known else np.float32(0.0))


def _maximum(a: Any, b: Any) -> Any:
    """The larger one; nan if one is."""
    return a if a >= b or a != a else b  # noqa: PLR0124


def _minimum(a: Any, b: Any) -> Any:
    """The smaller one; nan if one is."""
    return a if a <= b or a != a else b  # noqa: PLR0124


def _square(a: Any) -> Any:
    return a * a


NAMES = ("exp", "expm1", "tanh", "log", "log1p", "maximum", "minimum", "square")
_NEEDS = {"tanh": ("expm1",), "log1p": ("log",)}


def source(names: Iterable[str]) -> list[str]:
    """The functions of these names as source: those of two forms with a third that chooses by type."""
    wanted = [n for name in names for n in (*_NEEDS.get(name, ()), name)]
    text = []
    for name in dict.fromkeys(wanted):
        if f"_{name}" in globals():
            text.append(f"@_jit\n{_plain(f'_{name}')}")
            continue
        text += [f"@_exactly\n{_plain(f'_{name}{bits}')}" for bits in (64, 32)]
        text.append(
            f'def _{name}(x):\n    """np.{name} of one number, as either of these."""\n    return np.{name}(x)'
        )
        text.append(f"_either(_{name}, _{name}64, _{name}32)")
    return text


def _plain(name: str) -> str:
    """A function's source without types."""
    lines = inspect.getsource(globals()[name]).rstrip().split("\n")
    lines[0] = lines[0].replace(": Any", "").replace(" -> Any", "")
    return "\n".join(line.replace("  # noqa: PLR0124", "").replace(": Any = ", " = ") for line in lines)
