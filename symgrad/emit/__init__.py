"""Programs as NumPy source: a function, a training module, and the loading of both."""

from symgrad.emit.function import function_source
from symgrad.emit.load import Source, load

__all__ = ["Source", "function_source", "load"]
