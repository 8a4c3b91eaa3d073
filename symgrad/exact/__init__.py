"""Exact numbers: values of formulas in rationals, exp, log and roots, and equality decided by them.

`signatures` holds the residues that decide, `reals` the numbers with their digits, `duals` those with a slope,
`points` where formulas are tried, `equality` whether two results are the same.
"""
