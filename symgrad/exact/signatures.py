"""Exact values of formulas in exp and log: residues modulo a chain of primes.

An identity between formulas made of + - * / and exp can be decided exactly by one evaluation at random numbers, if
exp(a + b) is the product exp(a)*exp(b) there. Modulo a prime p that holds for exp(x) = g**x, where the exponent counts
modulo the order q of g; with q a prime too, exponents can be divided as well. So a number is kept modulo p and, for
where it stands in an exponent, modulo q; for exponents in exponents modulo a prime that divides q - 1, and so on. Two
formulas that differ agree by chance about once in 2**60. This is the method of G. Gonnet (Determining equivalence of
expressions in random polynomial time, STOC 1984), with primes as in M. Monagan and G. Gonnet (Signature functions for
algebraic numbers, ISSAC 1994).

sin and cos are made of exp(ix) alike, by an element of its own and a root of -1. Any other function (log, erf, a root)
is a random number that is the same wherever its arguments are: with that, equal residues still mean equal formulas,
while different ones may be equal too.
"""

from __future__ import annotations

import hashlib
import random
from fractions import Fraction
from functools import cache
from typing import NamedTuple

Signature = tuple[
    int, ...
]  # residues: of the number, of it in an exponent, of it in an exponent's exponent, ...
NESTED = 10  # exponents in one another; what is deeper has no signature
SMALL = (2, 3, 5, 7)  # numbers that have a square root modulo every prime
_BITS = 61


class Prime(NamedTuple):
    """A prime, an element of the order of the next one and another, a square root of -1, and those of `SMALL`."""

    p: int
    g: int
    h: int
    i: int
    roots: tuple[int, ...]


@cache
def chain() -> tuple[Prime, ...]:
    """Primes p > q > ..., of which each but the last is one more than a multiple of four times the next.

    Example:
        >>> p, q = chain()[:2]
        >>> (p.p - 1) % q.p, pow(p.g, q.p, p.p), p.i**2 % p.p == p.p - 1
        (0, 1, True)
    """
    import sympy

    def fits(p: int) -> bool:
        # whether 2 and odd r have roots modulo a p that is 1 modulo 4 (Gauss), and only then whether p is a prime
        residues = p % 8 == 1 and all(pow(p, (r - 1) // 2, r) == 1 for r in SMALL[1:])
        return residues and bool(sympy.isprime(p))

    def roots(p: int) -> tuple[int, ...]:
        return tuple(int(sympy.ntheory.sqrt_mod(r, p)) for r in SMALL)

    source = random.Random(20)  # noqa: S311
    q = sympy.nextprime(2**_BITS + source.getrandbits(_BITS - 1))
    while not fits(q):
        q = sympy.nextprime(q)
    found = [Prime(q, 0, 0, 0, roots(q))]
    for _ in range(NESTED):
        c = 4
        while not fits(c * q + 1):
            c += 4
        p = c * q + 1

        def drawn(power: int, p: int = p) -> int:
            while True:
                x = pow(source.randrange(2, p - 1), power, p)
                if x not in (1, p - 1):
                    return x

        i = next(x for x in iter(lambda p=p: drawn((p - 1) // 4, p), 0) if x * x % p == p - 1)  # type: ignore[misc]
        found.append(Prime(p, drawn(c), drawn(c), i, roots(p)))
        q = p
    return tuple(found[::-1])


class Signatures:
    """Arithmetic on signatures; each function gives None where a number has none.

    Args:
        levels: how many exponents in one another are followed.
    """

    def __init__(self, levels: int = NESTED):
        self.primes = chain()[: min(levels, NESTED) + 1]
        self.moduli = tuple(p.p for p in self.primes)

    def number(self, value: Fraction) -> Signature | None:
        if any(value.denominator % p == 0 for p in self.moduli):
            return None
        return tuple(value.numerator * pow(value.denominator, -1, p) % p for p in self.moduli)

    def add(self, a: Signature, b: Signature) -> Signature:
        return tuple((x + y) % p for x, y, p in zip(a, b, self.moduli, strict=False))

    def subtract(self, a: Signature, b: Signature) -> Signature:
        return tuple((x - y) % p for x, y, p in zip(a, b, self.moduli, strict=False))

    def multiply(self, a: Signature, b: Signature) -> Signature:
        return tuple(x * y % p for x, y, p in zip(a, b, self.moduli, strict=False))

    def divide(self, a: Signature, b: Signature) -> Signature | None:
        if not all(b):
            return None
        return tuple(x * pow(y, -1, p) % p for x, y, p in zip(a, b, self.moduli, strict=False))

    def power(self, a: Signature, n: int) -> Signature | None:
        if n < 0 and not all(a):
            return None
        return tuple(pow(x, n, p) for x, p in zip(a, self.moduli, strict=False))

    def exp(self, a: Signature) -> Signature | None:
        """g**x, with x as it is in an exponent: one level less."""
        return tuple(pow(p.g, x, p.p) for x, p in zip(a[1:], self.primes, strict=False)) or None

    def circle(self, a: Signature) -> tuple[Signature, Signature] | None:
        """cos and sin, from e = exp(ix): (e + 1/e)/2 and (e - 1/e)/2i."""
        cos, sin = [], []
        for x, (p, _, h, i, _) in zip(a[1:], self.primes, strict=False):
            e = pow(h, x, p)
            back = pow(e, -1, p)
            cos.append((e + back) * pow(2, -1, p) % p)
            sin.append((e - back) * pow(2 * i, -1, p) % p)
        return (tuple(cos), tuple(sin)) if cos else None

    def root(self, value: Fraction) -> Signature | None:
        """The square root of a positive number that is made of `SMALL` ones; None of others."""
        found = [1] * len(self.moduli)
        for rest, sign in ((value.numerator, 1), (value.denominator, -1)):
            part = rest
            for k, r in enumerate(SMALL):
                while part % r == 0:
                    part //= r
                    found = [
                        x * pow(p.roots[k], sign, p.p) % p.p for x, p in zip(found, self.primes, strict=True)
                    ]
            if part != 1:
                return None
        return tuple(found)

    def opaque(self, name: str, *args: Signature) -> Signature:
        """A number that nothing is known of but that it is the same for the same arguments."""
        told = f"{name} {[a[0] for a in args]}".encode()
        digest = [
            hashlib.blake2b(told, digest_size=32, salt=str(p).encode()[:16]).digest() for p in self.moduli
        ]
        return tuple(int.from_bytes(d) % p for d, p in zip(digest, self.moduli, strict=True))
