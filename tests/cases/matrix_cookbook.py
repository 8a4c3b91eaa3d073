"""Derivatives tabulated in the Matrix Cookbook (Petersen & Pedersen, 15 Nov 2012)."""
from functools import partial

import numpy as np

from cases.case import Exp, make_case

CASES = []
case = partial(make_case, CASES, "matrix_cookbook")
MC = "Matrix Cookbook (2012) eq. "
inv, det, tr = np.linalg.inv, np.linalg.det, np.trace
mpow = np.linalg.matrix_power

#% case
case(id="mc069_inner", source=MC + "(69)", difficulty=1,
     statement="Inner product of a variable vector with a constant vector.",
     latex=r"f(x)=x^\top a", shapes="x: n; a: n", sizes=[dict(n=3), dict(n=7)],
     f=lambda x, a: x @ a, grads={"x": (r"a", lambda x, a: a), "a": (r"x", lambda x, a: x)})

#% case
case(id="mc072_square_bilinear", source=MC + "(72)", difficulty=1,
     statement="Both outer vectors equal: a transposed times X times a.",
     latex=r"f(X)=a^\top X a=a^\top X^\top a", shapes="a: n; X: n,n", sizes=[dict(n=3), dict(n=5)],
     f=lambda a, X: a @ X @ a,
     grads={"X": (r"a a^\top", lambda a, X: np.outer(a, a)), "a": (r"(X+X^\top)a", lambda a, X: (X + X.T) @ a)})

#% case
case(id="mc074_jac_matmul", source=MC + "(74)", difficulty=2,
     statement="Jacobian of the matrix product XA with respect to X: d(XA)_ij/dX_mn = delta_im A_nj.",
     latex=r"F(X)=XA", shapes="X: m,n; A: n,p", sizes=[dict(m=2, n=3, p=2), dict(m=3, n=2, p=4)], kind="jacobian",
     f=lambda X, A: X @ A,
     grads={"X": (r"\partial(XA)_{ij}/\partial X_{mn}=\delta_{im}A_{nj}", lambda X, A: np.einsum("im,nj->ijmn", np.eye(X.shape[0]), A)),
            "A": (r"\partial(XA)_{ij}/\partial A_{mn}=X_{im}\delta_{jn}", lambda X, A: np.einsum("im,jn->ijmn", X, np.eye(A.shape[1])))},
     torch_f=lambda t, F, X, A: X @ A)

#% case
case(id="mc077_bXXc", source=MC + "(77); also a test of tensorgrad (test_matrix_calc)", difficulty=2,
     statement="Quadratic form in the columns of X with two constant vectors.",
     latex=r"f(X)=b^\top X^\top X c", shapes="b: n; X: m,n; c: n", sizes=[dict(m=2, n=3), dict(m=4, n=3)],
     f=lambda b, X, c: b @ X.T @ X @ c, grads={"X": (r"X(bc^\top+cb^\top)", lambda b, X, c: X @ (np.outer(b, c) + np.outer(c, b)))})

#% case
case(id="mc078_affine_bilinear", source=MC + "(78); also tensorgrad test_matrix_calc", difficulty=2,
     statement="Bilinear form of two affine maps of the same vector.",
     latex=r"f(x)=(Bx+b)^\top C(Dx+d)", shapes="B: p,n; b: p; C: p,q; D: q,n; d: q; x: n", sizes=[dict(n=3, p=2, q=4), dict(n=2, p=5, q=3)],
     f=lambda B, b, C, D, d, x: (B @ x + b) @ C @ (D @ x + d),
     grads={"x": (r"B^\top C(Dx+d)+D^\top C^\top(Bx+b)", lambda B, b, C, D, d, x: B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b)),
            "B": (r"C(Dx+d)x^\top", lambda B, b, C, D, d, x: np.outer(C @ (D @ x + d), x)),
            "C": (r"(Bx+b)(Dx+d)^\top", lambda B, b, C, D, d, x: np.outer(B @ x + b, D @ x + d))})

#% case
case(id="mc079_jac_congruence", source=MC + "(79)-(80)", difficulty=3,
     statement="Jacobian of the congruence X'BX with respect to X (two terms by the product rule).",
     latex=r"F(X)=X^\top B X", shapes="X: m,n; B: m,m", sizes=[dict(m=2, n=3), dict(m=3, n=2)], kind="jacobian",
     f=lambda X, B: X.T @ B @ X,
     grads={"X": (r"\partial F_{kl}/\partial X_{ij}=\delta_{lj}(X^\top B)_{ki}+\delta_{kj}(BX)_{il}",
                  lambda X, B: np.einsum("lj,ki->klij", np.eye(X.shape[1]), X.T @ B) + np.einsum("kj,il->klij", np.eye(X.shape[1]), B @ X))},
     torch_f=lambda t, F, X, B: X.T @ B @ X)

#% case
case(id="mc081_quadratic_form", source=MC + "(81), (97)-(98)", difficulty=1,
     statement="Quadratic form with an unsymmetric matrix: gradient and Hessian.",
     latex=r"f(x)=x^\top Bx", shapes="x: n; B: n,n", sizes=[dict(n=2), dict(n=6)],
     f=lambda x, B: x @ B @ x, grads={"x": (r"(B+B^\top)x", lambda x, B: (B + B.T) @ x), "B": (r"xx^\top", lambda x, B: np.outer(x, x))},
     hess={("x", "x"): (r"B+B^\top", lambda x, B: B + B.T)},
     expected=[Exp("hand example", dict(x=[1.0, 2.0], B=[[1.0, 2.0], [3.0, 4.0]]), value=27.0, grads={"x": [12.0, 21.0], "B": [[1.0, 2.0], [2.0, 4.0]]})],
     torch_f=lambda t, F, x, B: x @ B @ x)

#% case
case(id="mc082_bXDXc", source=MC + "(82); also tensorgrad test_matrix_calc", difficulty=2,
     statement="Bilinear form with a constant middle matrix between X transposed and X.",
     latex=r"f(X)=b^\top X^\top D X c", shapes="b: n; X: m,n; D: m,m; c: n", sizes=[dict(m=3, n=2), dict(m=2, n=4)],
     f=lambda b, X, D, c: b @ X.T @ D @ X @ c,
     grads={"X": (r"D^\top X bc^\top+DXcb^\top", lambda b, X, D, c: D.T @ X @ np.outer(b, c) + D @ X @ np.outer(c, b))})

#% case
case(id="mc083_affine_quadratic", source=MC + "(83); also tensorgrad test_matrix_calc", difficulty=2,
     statement="Quadratic form of an affine function of a matrix.",
     latex=r"f(X)=(Xb+c)^\top D(Xb+c)", shapes="X: m,n; b: n; c: m; D: m,m", sizes=[dict(m=2, n=3), dict(m=4, n=2)],
     f=lambda X, b, c, D: (X @ b + c) @ D @ (X @ b + c),
     grads={"X": (r"(D+D^\top)(Xb+c)b^\top", lambda X, b, c, D: np.outer((D + D.T) @ (X @ b + c), b)),
            "b": (r"X^\top(D+D^\top)(Xb+c)", lambda X, b, c, D: X.T @ (D + D.T) @ (X @ b + c))})

#% case
case(id="mc092_power_gram", source=MC + "(92), n = 2", difficulty=4,
     statement="Quadratic form of a power of X with its transpose.",
     latex=r"f(X)=a^\top (X^2)^\top X^2 b", shapes="a: n; X: n,n normal*0.6; b: n", sizes=[dict(n=2), dict(n=3)],
     f=lambda a, X, b: a @ (X @ X).T @ (X @ X) @ b,
     grads={"X": (r"\sum_{r=0}^{n-1}(X^r)^\top X^n(ab^\top+ba^\top)(X^{n-1-r})^\top",
                  lambda a, X, b: sum(mpow(X, r).T @ X @ X @ (np.outer(a, b) + np.outer(b, a)) @ mpow(X, 1 - r).T for r in range(2)))},
     notes="As remembered (text not re-read), (92) prints the first summand as X^{n-1-r} ab^T (X^n)^T X^r, the transpose of the right term (X^r)^T X^n ba^T (X^{n-1-r})^T; with the printed form the gradient is numerically wrong.")

#% case
case(id="mc099_trace", source=MC + "(99)", difficulty=1, statement="Trace of a square matrix.", latex=r"f(X)=\operatorname{tr}X",
     shapes="X: n,n", sizes=[dict(n=2), dict(n=5)], f=lambda X: tr(X), grads={"X": (r"I", lambda X: np.eye(X.shape[0]))})

#% case
case(id="mc100_trXA", source=MC + "(100)", difficulty=1, statement="Trace of a product of two rectangular matrices.", latex=r"f(X)=\operatorname{tr}(XA)",
     shapes="X: m,n; A: n,m", sizes=[dict(m=2, n=3), dict(m=5, n=2)], f=lambda X, A: tr(X @ A),
     grads={"X": (r"A^\top", lambda X, A: A.T), "A": (r"X^\top", lambda X, A: X.T)})

#% case
case(id="mc101_trAXB", source=MC + "(101)", difficulty=1, statement="Trace of AXB.", latex=r"f(X)=\operatorname{tr}(AXB)",
     shapes="A: p,m; X: m,n; B: n,p", sizes=[dict(m=2, n=3, p=4), dict(m=3, n=3, p=2)], f=lambda A, X, B: tr(A @ X @ B),
     grads={"X": (r"A^\top B^\top", lambda A, X, B: A.T @ B.T)})

#% case
case(id="mc102_trAXtB", source=MC + "(102)", difficulty=1, statement="Trace with the transposed variable.", latex=r"f(X)=\operatorname{tr}(AX^\top B)",
     shapes="A: p,n; X: m,n; B: m,p", sizes=[dict(m=2, n=3, p=4)], f=lambda A, X, B: tr(A @ X.T @ B),
     grads={"X": (r"BA", lambda A, X, B: B @ A)})

#% case
case(id="mc105_trkron_AX", source=MC + "(105)", difficulty=2, statement="Trace of a Kronecker product with the variable as second factor.", latex=r"f(X)=\operatorname{tr}(A\otimes X)",
     shapes="A: m,m; X: n,n", sizes=[dict(m=2, n=3), dict(m=3, n=2)], f=lambda A, X: tr(np.kron(A, X)),
     grads={"X": (r"\operatorname{tr}(A)I", lambda A, X: tr(A) * np.eye(X.shape[0]))})

#% case
case(id="mc106_trX2", source=MC + "(106)", difficulty=1, statement="Trace of the square.", latex=r"f(X)=\operatorname{tr}(X^2)",
     shapes="X: n,n", sizes=[dict(n=2), dict(n=4)], f=lambda X: tr(X @ X), grads={"X": (r"2X^\top", lambda X: 2 * X.T)})

#% case
case(id="mc107_trX2B", source=MC + "(107)", difficulty=2, statement="Trace of the square times a constant.", latex=r"f(X)=\operatorname{tr}(X^2B)",
     shapes="X: n,n; B: n,n", sizes=[dict(n=2), dict(n=4)], f=lambda X, B: tr(X @ X @ B), grads={"X": (r"(XB+BX)^\top", lambda X, B: (X @ B + B @ X).T)})

#% case
case(id="mc108_trXtBX", source=MC + "(108)-(110)", difficulty=2, statement="Trace of X'BX.", latex=r"f(X)=\operatorname{tr}(X^\top BX)",
     shapes="X: m,n; B: m,m", sizes=[dict(m=3, n=2), dict(m=2, n=5)], f=lambda X, B: tr(X.T @ B @ X), grads={"X": (r"BX+B^\top X", lambda X, B: B @ X + B.T @ X), "B": (r"XX^\top", lambda X, B: X @ X.T)})

#% case
case(id="mc114_trAXBX", source=MC + "(114)", difficulty=2, statement="Trace with the variable twice, both untransposed.", latex=r"f(X)=\operatorname{tr}(AXBX)",
     shapes="A: n,m; X: m,n; B: n,m", sizes=[dict(m=2, n=3), dict(m=3, n=3)], f=lambda A, X, B: tr(A @ X @ B @ X),
     grads={"X": (r"A^\top X^\top B^\top+B^\top X^\top A^\top", lambda A, X, B: A.T @ X.T @ B.T + B.T @ X.T @ A.T)})

#% case
case(id="mc115_frob_trace", source=MC + "(115)", difficulty=1, statement="Trace of the Gram matrix.", latex=r"f(X)=\operatorname{tr}(X^\top X)=\operatorname{tr}(XX^\top)",
     shapes="X: m,n", sizes=[dict(m=2, n=3), dict(m=5, n=1)], f=lambda X: tr(X.T @ X), grads={"X": (r"2X", lambda X: 2 * X)})

#% case
case(id="mc116_trBXCXB", source=MC + "(116)", difficulty=2, statement="Trace of B'X'CXB.", latex=r"f(X)=\operatorname{tr}(B^\top X^\top CXB)",
     shapes="B: n,p; X: m,n; C: m,m", sizes=[dict(m=2, n=3, p=2), dict(m=4, n=2, p=3)], f=lambda B, X, C: tr(B.T @ X.T @ C @ X @ B),
     grads={"X": (r"C^\top XBB^\top+CXBB^\top", lambda B, X, C: (C.T + C) @ X @ B @ B.T), "B": (r"X^\top(C+C^\top)XB", lambda B, X, C: X.T @ (C + C.T) @ X @ B)})

#% case
case(id="mc122_trAXk", source=MC + "(122), k = 3", difficulty=3, statement="Trace of a constant times the cube.", latex=r"f(X)=\operatorname{tr}(AX^3)",
     shapes="A: n,n; X: n,n normal*0.7", sizes=[dict(n=2), dict(n=4)], f=lambda A, X: tr(A @ X @ X @ X),
     grads={"X": (r"\sum_{r=0}^{2}(X^rAX^{2-r})^\top", lambda A, X: sum(mpow(X, r) @ A @ mpow(X, 2 - r) for r in range(3)).T)})

#% case
case(id="mc126_trace_ratio", source=MC + "(126), B and C symmetric", difficulty=4, statement="Generalised Rayleigh (Fisher discriminant) trace ratio.", latex=r"f(X)=\operatorname{tr}\big[(X^\top CX)^{-1}(X^\top BX)\big]",
     shapes="X: m,n; C: m,m spd; B: m,m sym", sizes=[dict(m=3, n=2), dict(m=5, n=2)], f=lambda X, C, B: tr(inv(X.T @ C @ X) @ (X.T @ B @ X)),
     grads={"X": (r"-2CX(X^\top CX)^{-1}X^\top BX(X^\top CX)^{-1}+2BX(X^\top CX)^{-1}",
                  lambda X, C, B: -2 * C @ X @ inv(X.T @ C @ X) @ X.T @ B @ X @ inv(X.T @ C @ X) + 2 * B @ X @ inv(X.T @ C @ X))})

#% case
case(id="mc061_ainvXb", source=MC + "(61)", difficulty=3, statement="Bilinear form of the inverse.", latex=r"f(X)=a^\top X^{-1}b",
     shapes="a: n; X: n,n well; b: n", sizes=[dict(n=2), dict(n=4)], f=lambda a, X, b: a @ inv(X) @ b,
     grads={"X": (r"-X^{-\top}ab^\top X^{-\top}", lambda a, X, b: -inv(X).T @ np.outer(a, b) @ inv(X).T), "b": (r"X^{-\top}a", lambda a, X, b: inv(X).T @ a)},
     expected=[Exp("X = diag(2, 4), a = b = ones", dict(a=[1.0, 1.0], X=[[2.0, 0.0], [0.0, 4.0]], b=[1.0, 1.0]), value=0.75, grads={"X": [[-0.25, -0.125], [-0.125, -0.0625]]})])

#% case
case(id="mc060_jac_inverse", source=MC + "(60)", difficulty=4, statement="Jacobian of the matrix inverse: d(X^-1)_kl/dX_ij = -(X^-1)_ki (X^-1)_jl.", latex=r"F(X)=X^{-1}",
     shapes="X: n,n well", sizes=[dict(n=2), dict(n=3)], kind="jacobian", f=lambda X: inv(X),
     grads={"X": (r"-(X^{-1})_{ki}(X^{-1})_{jl}", lambda X: -np.einsum("ki,jl->klij", inv(X), inv(X)))}, torch_f=lambda t, F, X: t.linalg.inv(X))

#% case
case(id="mc064_tr_inv_sum", source=MC + "(64)", difficulty=3, statement="Trace of the inverse of a shifted matrix.", latex=r"f(X)=\operatorname{tr}\big((X+A)^{-1}\big)",
     shapes="X: n,n; A: n,n well*4", sizes=[dict(n=2), dict(n=3)], f=lambda X, A: tr(inv(X + A)),
     grads={"X": (r"-\big((X+A)^{-1}(X+A)^{-1}\big)^\top", lambda X, A: -(inv(X + A) @ inv(X + A)).T)})

#% case
case(id="mc049_det", source=MC + "(49)", difficulty=2, statement="Determinant (Jacobi's formula).", latex=r"f(X)=\det X",
     shapes="X: n,n", sizes=[dict(n=2), dict(n=4)], f=lambda X: det(X), grads={"X": (r"\det(X)X^{-\top}=\operatorname{adj}(X)^\top", lambda X: det(X) * inv(X).T)},
     expected=[Exp("2x2: cofactors", dict(X=[[1.0, 2.0], [3.0, 4.0]]), value=-2.0, grads={"X": [[4.0, -3.0], [-2.0, 1.0]]}, rtol=1e-12)],
     torch_f=lambda t, F, X: t.linalg.det(X))

#% case
case(id="mc049b_det_singular", source=MC + "(47)-(49); adjugate form at a singular matrix", difficulty=4,
     statement="Determinant at a singular matrix: the inverse does not exist but the gradient is the transposed adjugate (cofactor matrix).",
     latex=r"f(X)=\det X,\ \det X=0,\quad \nabla f=\operatorname{cof}(X)", shapes="X: 3,3", sizes=[dict()],
     f=lambda X: X[0, 0] * (X[1, 1] * X[2, 2] - X[1, 2] * X[2, 1]) - X[0, 1] * (X[1, 0] * X[2, 2] - X[1, 2] * X[2, 0]) + X[0, 2] * (X[1, 0] * X[2, 1] - X[1, 1] * X[2, 0]),
     grads={"X": (r"\operatorname{cof}(X)", lambda X: np.array([np.cross(X[1], X[2]), np.cross(X[2], X[0]), np.cross(X[0], X[1])]))},
     maker=lambda rng: {"X": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])},
     expected=[Exp("the matrix 1..9", dict(X=[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]), value=0.0, grads={"X": [[-3.0, 6, -3], [6, -12, 6], [-3, 6, -3]]}, atol=1e-12)])

#% case
case(id="mc052_det_XtAX_square", source=MC + "(52)", difficulty=3, statement="Determinant of X'AX with X square and invertible.", latex=r"f(X)=\det(X^\top AX)",
     shapes="X: n,n well; A: n,n well", sizes=[dict(n=2), dict(n=3)], f=lambda X, A: det(X.T @ A @ X),
     grads={"X": (r"2\det(X^\top AX)X^{-\top}", lambda X, A: 2 * det(X.T @ A @ X) * inv(X).T)})

#% case
case(id="mc055_logdet_gram", source=MC + "(55)", difficulty=3, statement="Log determinant of a Gram matrix of a tall matrix of full column rank.", latex=r"f(X)=\ln\det(X^\top X)",
     shapes="X: m,n", sizes=[dict(m=3, n=2), dict(m=6, n=3)], f=lambda X: np.log(det(X.T @ X)),
     grads={"X": (r"2(X^{+})^\top=2X(X^\top X)^{-1}", lambda X: 2 * X @ inv(X.T @ X))}, torch_f=lambda t, F, X: t.logdet(X.T @ X))

#% case
case(id="mc058_det_power", source=MC + "(58), k = 3", difficulty=3, statement="Determinant of the cube.", latex=r"f(X)=\det(X^3)",
     shapes="X: n,n well", sizes=[dict(n=2), dict(n=3)], f=lambda X: det(X @ X @ X), grads={"X": (r"3\det(X^3)X^{-\top}", lambda X: 3 * det(mpow(X, 3)) * inv(X).T)})

#% case
case(id="mc065_eig_prod", source=MC + "(65)-(66)", difficulty=2, statement="Sum and product of all eigenvalues, combined: trace plus determinant.", latex=r"f(X)=\sum_i\lambda_i(X)+\prod_i\lambda_i(X)",
     shapes="X: n,n well", sizes=[dict(n=2), dict(n=3)], f=lambda X: tr(X) + det(X), grads={"X": (r"I+\det(X)X^{-\top}", lambda X: np.eye(X.shape[0]) + det(X) * inv(X).T)})

#% case
case(id="mc128_tr_sin", source=MC + "(128)", difficulty=5,
     statement="Trace of the matrix sine (a power series in X, not elementwise).",
     latex=r"f(X)=\operatorname{tr}(\sin X)=\sum_{k\ge0}\frac{(-1)^k}{(2k+1)!}\operatorname{tr}(X^{2k+1})", shapes="X: n,n normal*0.5", sizes=[dict(n=2), dict(n=3)],
     f=lambda X: _mat_series(X, 1, 0)[0], grads={"X": (r"(\cos X)^\top", lambda X: _mat_series(X, 0, 1).T)})


def _mat_series(X, sine, full):
    P, S, n = np.eye(X.shape[0], dtype=X.dtype), 0 * X, 0
    for n in range(60):
        if sine and n % 2 == 1:
            S = S + (-1) ** (n // 2) * P
        if not sine and n % 2 == 0:
            S = S + (-1) ** (n // 2) * P
        P = P @ X / (n + 1)
    return S if full else (np.trace(S), None)

#% case
case(id="mc129_norm2", source=MC + "(129)", difficulty=2, statement="Euclidean distance to a constant point.", latex=r"f(x)=\|x-a\|_2", shapes="x: n; a: n", sizes=[dict(n=2), dict(n=5)],
     f=lambda x, a: np.sqrt(np.sum((x - a) ** 2)), grads={"x": (r"\frac{x-a}{\|x-a\|_2}", lambda x, a: (x - a) / np.sqrt(np.sum((x - a) ** 2)))},
     hess={("x", "x"): (r"\frac{I}{\|x-a\|}-\frac{(x-a)(x-a)^\top}{\|x-a\|^3}", lambda x, a: np.eye(len(x)) / np.linalg.norm(x - a) - np.outer(x - a, x - a) / np.linalg.norm(x - a) ** 3)},
     expected=[Exp("3-4-5 triangle", dict(x=[3.0, 4.0], a=[0.0, 0.0]), value=5.0, grads={"x": [0.6, 0.8]})])

#% case
case(id="mc130_unit_vector", source=MC + "(130)", difficulty=3, statement="Jacobian of the unit vector pointing from a to x.", latex=r"F(x)=\frac{x-a}{\|x-a\|_2}", shapes="x: n; a: n", sizes=[dict(n=2), dict(n=4)], kind="jacobian",
     f=lambda x, a: (x - a) / np.sqrt(np.sum((x - a) ** 2)),
     grads={"x": (r"\frac{I}{\|x-a\|}-\frac{(x-a)(x-a)^\top}{\|x-a\|^3}", lambda x, a: np.eye(len(x)) / np.linalg.norm(x - a) - np.outer(x - a, x - a) / np.linalg.norm(x - a) ** 3)},
     expected=[Exp("3-4-5 triangle", dict(x=[3.0, 4.0], a=[0.0, 0.0]), value=[0.6, 0.8], grads={"x": [[0.128, -0.096], [-0.096, 0.072]]}, rtol=1e-12, atol=1e-15)])

#% case
case(id="mc139_structured_trace", source=MC + "(138)-(139), symmetric X", difficulty=4,
     statement="X is symmetric and parametrised by its lower triangle P (entries above the diagonal of P are ignored): X = tril(P) + tril(P,-1)'. Gradient with respect to the free entries of tr(AX).",
     latex=r"f(P)=\operatorname{tr}(AX),\ X=X^\top", shapes="A: n,n; P: n,n", sizes=[dict(n=2), dict(n=4)],
     f=lambda A, P: tr(A @ (np.tril(P) + np.tril(P, -1).T)),
     grads={"P": (r"\operatorname{tril}(A+A^\top-A\circ I)", lambda A, P: np.tril(A + A.T - A * np.eye(len(A))))})

#% case
case(id="mc141_structured_logdet", source=MC + "(141), symmetric X", difficulty=5,
     statement="Log determinant of a symmetric positive definite matrix with respect to its free (lower-triangle) entries.",
     latex=r"f(P)=\ln\det X", shapes="P: n,n spd", sizes=[dict(n=2), dict(n=4)],
     f=lambda P: np.log(det(np.tril(P) + np.tril(P, -1).T)),
     grads={"P": (r"\operatorname{tril}(2X^{-1}-X^{-1}\circ I)", lambda P: (lambda X: np.tril(2 * inv(X) - inv(X) * np.eye(len(X))))(np.tril(P) + np.tril(P, -1).T))})

#% case
case(id="mc142_diagonal_trace", source=MC + "(142), diagonal X", difficulty=2,
     statement="X is diagonal, X = diag(d): gradient of tr(AX) with respect to the diagonal.", latex=r"f(d)=\operatorname{tr}(A\operatorname{diag}(d))", shapes="A: n,n; d: n", sizes=[dict(n=2), dict(n=5)],
     f=lambda A, d: np.sum(np.diagonal(A) * d), grads={"d": (r"\operatorname{diag}(A)", lambda A, d: np.diagonal(A).copy()), "A": (r"\operatorname{diag}(d)", lambda A, d: np.diag(d))})
