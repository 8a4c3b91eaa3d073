"""Passes from graph to graph that make the fast form faster and keep every value: a file each, in order."""

from symgrad.emit.graph import Pass
from symgrad.emit.improve.winner import winner

IMPROVEMENTS: tuple[Pass, ...] = (winner,)
