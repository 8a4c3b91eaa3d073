"""Passes from graph to graph that make the fast form faster and keep every value: a file each, in order."""

from symgrad.emit.graph import Pass
from symgrad.emit.improve.ahead import ahead
from symgrad.emit.improve.borders import borders
from symgrad.emit.improve.direct import direct
from symgrad.emit.improve.flats import flats
from symgrad.emit.improve.gathers import gathers
from symgrad.emit.improve.maxima import maxima
from symgrad.emit.improve.onehots import onehots
from symgrad.emit.improve.ones import ones
from symgrad.emit.improve.orientation import orientation
from symgrad.emit.improve.outer import outer
from symgrad.emit.improve.products import products
from symgrad.emit.improve.scales import scales
from symgrad.emit.improve.shifts import shifts
from symgrad.emit.improve.stages import stages
from symgrad.emit.improve.sums import sums
from symgrad.emit.improve.turns import turns
from symgrad.emit.improve.widen import widen
from symgrad.emit.improve.winner import winner

IMPROVEMENTS: tuple[Pass, ...] = (
    winner, flats, shifts, orientation, turns, outer, maxima, products, sums, scales, ones, gathers, onehots,
    stages, widen, borders, direct, ahead,
)  # fmt: skip
