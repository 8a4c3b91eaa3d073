"""Programs as NumPy source: a function, a training module, and the loading of both."""

from symgrad.emit.function import function_name, function_source
from symgrad.emit.load import Source, load
from symgrad.emit.module import STYLES, module_source
from symgrad.emit.report import Report, module_report

__all__ = [
    "STYLES", "Report", "Source", "function_name", "function_source", "load", "module_report",
    "module_source",
]  # fmt: skip
