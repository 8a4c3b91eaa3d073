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

from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad._public import *  # noqa: F403
    from symgrad._public import __all__ as __all__

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """A public name, or an operation under its name or its class's: `sg.dense`, `sg.Dense`.

    All that stands behind them is imported when the first is asked for.
    """
    # `from symgrad import emit` asks for the name before it imports the module; `data` is a role, and a folder
    module = PathFinder.find_spec(f"symgrad.{name}", __path__)  # noqa: F405 - of every package
    if module and name != "data" or name.startswith("_") and name != "__all__":
        raise AttributeError(f"module 'symgrad' has no attribute '{name}'")
    operations = _loaded()
    return globals()[name] if name in globals() else operations.find(name)


def __dir__() -> list[str]:
    operations = _loaded()
    return sorted({*globals(), *operations.names()})


def _loaded() -> Any:
    """The operations as objects, once all that is public is imported."""
    from symgrad import _public
    from symgrad.objects import layers

    globals().update({name: getattr(_public, name) for name in ("__all__", *_public.__all__)})
    return layers
