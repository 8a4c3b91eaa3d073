"""symgrad: declare a network and its loss; get the exact gradient, its derivation, and NumPy code that trains.

    import symgrad as sg

    d = sg.derive('''
        X: data[n, i]
        y: data[n]
        w: weight[i]
        loss = mean((X @ w - y)**2)
    ''')
    print(d.text())

See `derive` for a derivation, `Model` for a training module, `define` for an operation of your own.
"""

from symgrad.check import Verdict as Verdict
from symgrad.derivation import Derivation as Derivation
from symgrad.derivation import Gradient as Gradient
from symgrad.derivation import derive as derive
from symgrad.errors import SymgradError as SymgradError
from symgrad.library import define as define
from symgrad.model import Model as Model

__version__ = "0.1.0"
__all__ = ["Derivation", "Gradient", "Model", "SymgradError", "Verdict", "define", "derive"]
