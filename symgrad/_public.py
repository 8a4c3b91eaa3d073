"""The public names, imported together when the first of them is asked for."""

from symgrad.check import Verdict
from symgrad.derivation import Derivation, Gradient, derive
from symgrad.errors import SymgradError
from symgrad.exercises import Exercise, exercise
from symgrad.explain.grading import Grade
from symgrad.library import define
from symgrad.model import Model
from symgrad.objects.declared import constant, data, draw, label, size, weight
from symgrad.objects.expressions import Expression, training
from symgrad.objects.layers import Sequential
from symgrad.objects.tracing import op
from symgrad.ops import check_op, describe
from symgrad.second import hessian, hvp, jacobian, per_example

__all__ = [
    "Derivation", "Exercise", "Expression", "Grade", "Gradient", "Model", "Sequential", "SymgradError", "Verdict",
    "check_op", "constant", "data", "define", "derive", "describe", "draw", "exercise", "hessian", "hvp", "jacobian",
    "label", "op", "per_example", "size", "training", "weight",
]  # fmt: skip
