"""Run scikit-learn's own checks of estimators on generated ones: python tests/sklearn_checks.py

Prints how many checks ran for each kind and each way to generate it; exit status 1 if any of them did not pass, or was
skipped.
"""

import itertools
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

WAYS: dict[str, dict[str, object]] = {
    "fast": {"style": "fast"},
    "readable": {"style": "readable"},
    # a check of class weights wants a network to turn around within its 100 epochs of two batches
    "weighted": {"weighted": True, "lr": 0.01},
}


def main() -> int:
    from sklearn.utils.estimator_checks import check_estimator

    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        for kind, way in itertools.product(DECLARATIONS, WAYS):
            path = Path(folder) / f"{kind}_{way}.py".replace(" ", "_")
            sg.Model(DECLARATIONS[kind]).generate(path, estimator=True, **WAYS[way])
            estimator = getattr(__import__(path.stem), kind.split()[-1].capitalize())()
            with warnings.catch_warnings():
                # it is no subclass of scikit-learn's, which it works without
                warnings.filterwarnings("ignore", ".*does not inherit from")
                results = check_estimator(estimator, on_fail=None, on_skip=None)
            counts = Counter(r["status"] for r in results)
            told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            print(f"{kind}, {way}: {len(results)} checks: {told}")
            for r in results:
                if r["status"] != "passed":
                    wrong += 1
                    print(f"{r['check_name']}: {r['status']}: {r['exception']}")
                    traceback.print_tb(r["exception"].__traceback__)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
