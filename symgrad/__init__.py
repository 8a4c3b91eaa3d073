"""symgrad: declare a network and its loss; get the exact gradient, its derivation, and NumPy code that trains.

    import symgrad as sg

    d = sg.derive('''
        X: data[n, i]
        y: data[n]
        w: weight[i]
        loss = mean((X @ w - y)**2)
    ''')
    print(d.text())

See `derive` for a derivation, `jacobian`, `hessian`, `hvp` and `per_example` for more than gradients, `Model` for a
training module, `define` and `op` for operations of your own, `describe` for those that there are. Each of them is an
object too: `sg.Dense(32)`, `sg.relu(x)`.
"""

from typing import Any

from symgrad.check import Verdict as Verdict
from symgrad.derivation import Derivation as Derivation
from symgrad.derivation import Gradient as Gradient
from symgrad.derivation import derive as derive
from symgrad.errors import SymgradError as SymgradError
from symgrad.exercises import Exercise as Exercise
from symgrad.exercises import exercise as exercise
from symgrad.explain.grading import Grade as Grade
from symgrad.library import define as define
from symgrad.model import Model as Model
from symgrad.objects import layers as _layers
from symgrad.objects.declared import constant as constant
from symgrad.objects.declared import data as data
from symgrad.objects.declared import draw as draw
from symgrad.objects.declared import label as label
from symgrad.objects.declared import size as size
from symgrad.objects.declared import weight as weight
from symgrad.objects.expressions import Expression as Expression
from symgrad.objects.expressions import training as training
from symgrad.objects.layers import Sequential as Sequential
from symgrad.objects.tracing import op as op
from symgrad.ops import check_op as check_op
from symgrad.ops import describe as describe
from symgrad.second import hessian as hessian
from symgrad.second import hvp as hvp
from symgrad.second import jacobian as jacobian
from symgrad.second import per_example as per_example

__version__ = "0.1.0"
__all__ = [
    "Derivation", "Exercise", "Expression", "Grade", "Gradient", "Model", "Sequential", "SymgradError", "Verdict",
    "check_op", "constant", "data", "define", "derive", "describe", "draw", "exercise", "hessian", "hvp", "jacobian",
    "label", "op", "per_example", "size", "weight",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Every operation that there is, under its name and under its class's: `sg.dense`, `sg.Dense`."""
    if name.startswith("_"):
        raise AttributeError(f"module 'symgrad' has no attribute '{name}'")
    return _layers.find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_layers.names()})
