"""Run scikit-learn's own checks of estimators on generated ones: python tests/sklearn_checks.py

Prints how many checks ran for each kind and style; exit status 1 if any of them did not pass, or was skipped.
"""

import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

os.environ["SCIPY_ARRAY_API"] = "1"  # before SciPy is imported: else one check is skipped

import symgrad as sg

DECLARATIONS = {
    "classifier": """
        x: data[n, i]
        t: label[n] < k
        h = tanh(dense(x, 16))
        z = dense(h, k)
        loss = softmax_cross_entropy(z, t)
    """,
    "binary classifier": """
        x: data[n, i]
        t: label[n] < 2
        h = tanh(dense(x, 16))
        z = dense(h, 1)[:, 0]
        loss = binary_cross_entropy_with_logits(z, t)
    """,
    "regressor": """
        x: data[n, i]
        y: data[n]
        h = tanh(dense(x, 16))
        z = dense(h, 1)[:, 0]
        loss = mse(z, y)
    """,
}


def main() -> int:
    from sklearn.utils.estimator_checks import check_estimator

    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        for kind, text in DECLARATIONS.items():
            for style in ("fast", "readable"):
                path = Path(folder) / f"{kind.replace(' ', '_')}_{style}.py"
                sg.Model(text).generate(path, style=style, estimator=True)
                estimator = getattr(__import__(path.stem), kind.split()[-1].capitalize())()
                with warnings.catch_warnings():
                    # it is no subclass of scikit-learn's, which it works without
                    warnings.filterwarnings("ignore", ".*does not inherit from")
                    results = check_estimator(estimator, on_fail=None, on_skip=None)
                counts = Counter(r["status"] for r in results)
                told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
                print(f"{kind}, {style}: {len(results)} checks: {told}")
                for r in results:
                    if r["status"] != "passed":
                        wrong += 1
                        print(f"{r['check_name']}: {r['status']}: {r['exception']}")
                        traceback.print_tb(r["exception"].__traceback__)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
