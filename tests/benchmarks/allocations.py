"""Counts the arrays that NumPy allocates, however small and however short their life.

tracemalloc tells live bytes, so an array that a line makes and drops shows only in a peak, among the buffers of ufuncs
and small objects. NumPy lets the allocator of array data be replaced (NEP 49): this one notes each size and hands on to
the one before.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

_pointer, _size = ctypes.c_void_p, ctypes.c_size_t
_MALLOC = ctypes.PYFUNCTYPE(_pointer, _pointer, _size)
_CALLOC = ctypes.PYFUNCTYPE(_pointer, _pointer, _size, _size)
_REALLOC = ctypes.PYFUNCTYPE(_pointer, _pointer, _pointer, _size)
_FREE = ctypes.PYFUNCTYPE(None, _pointer, _pointer, _size)
# the places of PyDataMem_SetHandler and PyDataMem_GetHandler in NumPy's C interface, which keeps places for good
_SET, _GET = 304, 305


class Allocation(NamedTuple):
    """An array that was allocated: its bytes, and the line of Python that asked for it."""

    size: int
    file: str
    line: int


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _pointer),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _FREE),
    )


_python = ctypes.PyDLL(None)
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, _pointer, ctypes.c_char_p, _pointer)(
    ("PyCapsule_New", _python)
)
_inside = ctypes.PYFUNCTYPE(_pointer, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))
_KIND = ctypes.c_char_p(b"mem_handler")
_table = ctypes.cast(_inside(np._core.multiarray._ARRAY_API, None), ctypes.POINTER(_pointer))
_set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(_table[_SET])
_get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(_table[_GET])
ONE_NUMBER = 16  # bytes: NumPy makes a number by way of an array of one entry, which is no array of the step
_kept: list[object] = []  # an array that outlives the count is freed by its handler, so handlers stay


@contextmanager
def counted() -> Iterator[list[Allocation]]:
    """A list that gets each array allocated inside, those aside that are no larger than `ONE_NUMBER`."""
    found: list[Allocation] = []
    before = _get_handler()
    default = ctypes.cast(_inside(before, _KIND), ctypes.POINTER(_Handler)).contents

    def note(size: int) -> None:
        if size > ONE_NUMBER:
            frame = sys._getframe(2)
            found.append(Allocation(size, frame.f_code.co_filename, frame.f_lineno))

    def malloc(context, size):
        note(size)
        return default.malloc(context, size)

    def calloc(context, count, size):
        note(count * size)
        return default.calloc(context, count, size)

    def realloc(context, pointer, size):
        note(size)
        return default.realloc(context, pointer, size)

    handler = _Handler(
        b"counting", 1, default.context, _MALLOC(malloc), _CALLOC(calloc), _REALLOC(realloc), default.free
    )
    capsule = _new_capsule(ctypes.addressof(handler), _KIND, None)
    _kept.append((handler, capsule, default))
    _set_handler(capsule)
    try:
        yield found
    finally:
        _set_handler(before)
