"""Judges of a derivation: in floating point, and in exact numbers."""

from symgrad.check.numeric import Row, Verdict, check
from symgrad.check.proof import Proof, prove

__all__ = ["Proof", "Row", "Verdict", "check", "prove"]
