"""Is my answer right? A student's derivative against the derived one.

`answers` reads what was written, `truth` holds what is right, `equality` decides, on random numbers, `shapes`,
`terms`, `mistakes` and `repairs` find out what is wrong, `verdict` says it, and `hints` helps before it.
"""

from symgrad.explain.grading.grade import grade as grade
from symgrad.explain.grading.hints import hint as hint
from symgrad.explain.grading.truth import Truth as Truth
from symgrad.explain.grading.verdict import Grade as Grade

__all__ = ["Grade", "Truth", "grade", "hint"]
