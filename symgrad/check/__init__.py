"""Judges of a derivation."""

from symgrad.check.numeric import Row, Verdict, check

__all__ = ["Row", "Verdict", "check"]
