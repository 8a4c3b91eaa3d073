"""The derivation as data: what `json` knows, for other programs.

`record` gives a dictionary of this schema, version 1. What is mathematics is text of the language, and its LaTeX for
math mode stands beside it; declarations and gradients are read back as they are, a statement of a step with
declarations of the tensors that it reads:

- `schema`: "symgrad-derivation", `version`: 1
- `kind`: "gradient", "jacobian", "hessian", "hvp" or "per example"
- `declaration`: the program as it was read, one statement a line; `target`: the tensor that is differentiated
- `tensors`: for every tensor that a step speaks of `shape` (a list of texts), `role` ("data", "weight", "label",
  "value", "adjoint", ...) and, for an adjoint, `of`: what it is the derivative by
- `steps`, in order, each with
  - `number`: its place in the trace, from 1; `label`: the number of its equation on the page
  - `rule`: the short name, `title`: what readers call the rule
  - `equations`: what the step arrives at, each with `tensor`, `text` and `latex`
  - `before`: texts of the statements that were replaced
  - `source`, `access`, `partial`: for a step of the chain rule the text of the statement that was differentiated, of
    the entry by which, and of the derivative; null for others
  - `reason`: a sentence as text; `reason_latex`: for text mode
- `gradients`: a list, each with `by` (a list of names: two for a second derivative), `tensor` (its name in the
  program), `shape`, and `matrix` and `index`, each with `text` (a list of equations, the last is the gradient) and
  `latex`
- `program`: the loss and all gradients as one program, one statement a line, in an order that runs
"""

from __future__ import annotations

import json
from typing import Any

from symgrad.explain import result_equations, result_latex
from symgrad.explain.cast import Cast
from symgrad.explain.indices import Indices
from symgrad.explain.latex import LATEX
from symgrad.explain.plan import labels, numbers
from symgrad.explain.sentences import RULES, Sentences
from symgrad.explain.sides import Sides
from symgrad.explain.tex import said
from symgrad.language.program import Statement, show
from symgrad.language.trace import Derived, Key, Step

VERSION = 1


def written(derived: Derived) -> str:
    """The record as JSON.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> told = json.loads(written(derive(read("x: weight[n]; loss = sum(x**2)/2"))))
        >>> told["version"], told["gradients"][0]["matrix"]["text"], told["steps"][-1]["equations"][0]["text"]
        (1, ['dx = x'], 'dx[n] += x[n]')
    """
    return json.dumps(record(derived), indent=1, ensure_ascii=False) + "\n"


def record(derived: Derived) -> dict[str, Any]:
    """The derivation as a dictionary of strings, numbers, lists and dictionaries."""
    recorder = _Recorder(derived)
    return {
        "schema": "symgrad-derivation",
        "version": VERSION,
        "kind": derived.kind,
        "declaration": str(derived.source),
        "target": derived.source.target,
        "tensors": recorder.tensors(),
        "steps": [recorder.step(s) for s in derived.steps],
        "gradients": [recorder.gradient(name) for name in derived.gradients],
        "program": str(derived.program),
    }


class _Recorder:
    def __init__(self, derived: Derived):
        self.derived = derived
        self.labels = labels(derived)
        self.cast = Cast(derived, named=True)
        self.indices = Indices(self.cast.names, {})
        self.sentences = Sentences(self.cast, Sides(self.cast, "index", numpy=False), numbers(derived))

    def tensors(self) -> dict[str, Any]:
        return {
            t.name: {"shape": list(map(str, t.shape)), "role": t.role}
            | ({"of": t.of} if t.role == "adjoint" else {})
            for t in self.cast.tensors.values()
        }

    def step(self, step: Step) -> dict[str, Any]:
        return {
            "number": step.number,
            "label": self.labels[step.number],
            "rule": step.rule,
            "title": RULES.get(step.rule, step.rule),
            "equations": [self.equation(s) for s in step.equation],
            "before": list(map(self.text, step.before)),
            "source": None if step.source is None else self.text(step.source),
            "access": None if step.access is None else str(step.access),
            "partial": None if step.partial is None else str(step.partial),
            "reason": step.reason,
            "reason_latex": said(self.sentences.sentence(step.reason)),
        }

    def text(self, s: Statement) -> str:
        return show(s, self.cast.program)

    def equation(self, s: Statement) -> dict[str, Any]:
        placed = s.op == "=" and not s.plain
        left, right = self.indices.equation(s) if placed else self.indices.total((s,))
        return {"tensor": s.out, "text": self.text(s), "latex": f"{LATEX.line(left)} = {LATEX.line(right)}"}

    def gradient(self, name: Key) -> dict[str, Any]:
        bar = self.derived.gradients[name]
        return {
            "by": [name] if isinstance(name, str) else list(name),
            "tensor": bar,
            "shape": list(map(str, self.derived.program[bar].shape)),
        } | {
            form: {
                "text": result_equations(self.derived, name, form),
                "latex": result_latex(self.derived, name, form),
            }
            for form in ("matrix", "index")
        }
