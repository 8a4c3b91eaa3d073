"""Where things stand: a layered layout of boxes, wires between them, and labels on the wires.

After Sugiyama, Tagawa and Toda (1981): boxes in rows so that every wire goes down, wires over several rows through
places of their own in each, the order in a row by barycentres, then the columns. A wire is free to bend only between
two rows, so it crosses no box; a label stands below its box, in the box's own column, so it meets no other.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
Segment = tuple[Point, ...]  # two points: a line; four: a cubic curve
Item = Hashable  # a box, by its name, or a place where a wire passes a row

GAP, ROUND, MARGIN = 16.0, 10.0, 12.0  # between columns, between arrowheads, around all
LABEL = 11.0  # the height of a label
TRUNK, _CURVE = 19.0, 21.0  # below a row: straight with labels, then free
_LANE = 4.0  # half the width of a place where a wire passes
_LOOP = 20.0  # how far a loop reaches out


@dataclass(frozen=True)
class Rect:
    """By its centre."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2

    def meets(self, other: Rect) -> bool:
        """Whether two have more than an edge in common."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide > 0.05 and high > 0.05


@dataclass(frozen=True)
class Port:
    """Where wires leave the lower side of a box, with the label that stands there."""

    box: str
    style: str
    label: str = ""
    width: float = 0.0


@dataclass(frozen=True)
class Wire:
    """From a port down to a box; the arrow is at the lower end, or at the port (`up`). A wire from a box to itself
    is a loop beside it."""

    port: Port
    lower: str
    up: bool = False


@dataclass(frozen=True)
class Placed:
    """The result, from (0, 0) to `width`, `height`; y goes down.

    Attributes:
        boxes: by name.
        labels: where the label of each port stands.
        strokes: the parts of all wires, each once, by style.
        heads: tips of arrows with the direction in which they point, by style.
    """

    width: float
    height: float
    boxes: Mapping[str, Rect]
    labels: Mapping[Port, Rect]
    strokes: Mapping[tuple[str, Segment], None]
    heads: Mapping[tuple[str, Point, Point], None]


@dataclass
class _Rows:
    """Rows of items, with what is joined between neighbouring rows."""

    rows: list[list[Item]]
    above: dict[Item, dict[Item, float]] = field(default_factory=dict)
    below: dict[Item, dict[Item, float]] = field(default_factory=dict)

    def join(self, upper: Item, lower: Item, weight: float) -> None:
        up, down = self.above.setdefault(lower, {}), self.below.setdefault(upper, {})
        up[upper] = down[lower] = max(weight, up.get(upper, 0.0))


def placed(sizes: Mapping[str, tuple[float, float]], wires: Sequence[Wire], last: str) -> Placed:
    """Place boxes and wires.

    Args:
        sizes: width and height of each box; a box gets wider where its labels need it.
        wires: without loops over several boxes.
        last: the box at the bottom, from which the order in the rows is first read.
    """
    down = [w for w in wires if w.port.box != w.lower]
    loops = [w for w in wires if w.port.box == w.lower]
    ranks = _ranks(sizes, down)
    ports = {name: list(dict.fromkeys(w.port for w in down if w.port.box == name)) for name in sizes}
    into = {name: len({w.port for w in down if w.lower == name}) for name in sizes}
    boxes = {
        name: (max(w, sum(p.width + 8 for p in ports[name]), ROUND * (into[name] + 1), 28.0), h)
        for name, (w, h) in sizes.items()
    }
    offsets: dict[Port, float] = {}
    for own in ports.values():
        at = -sum(p.width + 8 for p in own) / 2
        for p in own:
            offsets[p] = at + (p.width + 8) / 2
            at += p.width + 8
    rows = _joined(ranks, down, last)
    _order(rows)
    reach = {name: (w / 2, w / 2) for name, (w, _) in boxes.items()}
    for w in loops:
        left, right = reach[w.lower]
        reach[w.lower] = (left, right + _LOOP + 4 + w.port.width)
    columns = _columns(rows, reach, offsets)
    return _drawn(rows, ranks, boxes, reach, offsets, columns, down, loops)


# rows


def _ranks(sizes: Mapping[str, object], wires: Sequence[Wire]) -> dict[str, int]:
    """The row of each box: as high as what it needs allows; what has more readers than it reads, as low as
    these allow."""
    above: dict[str, dict[str, None]] = {name: {} for name in sizes}
    below: dict[str, dict[str, None]] = {name: {} for name in sizes}
    for w in wires:
        above[w.lower][w.port.box] = None
        below[w.port.box][w.lower] = None
    order: list[str] = []
    seen: set[str] = set()
    for name in sizes:
        stack = [(name, iter(above[name]))]
        while stack:
            at, rest = stack[-1]
            new = None if at in seen else next((u for u in rest if u not in seen), None)
            if new is not None:
                stack.append((new, iter(above[new])))
                continue
            if at not in seen:
                seen.add(at)
                order.append(at)
            stack.pop()
    ranks: dict[str, int] = {}
    for name in order:
        ranks[name] = max((ranks[u] + 1 for u in above[name]), default=0)
    for name in reversed(order):
        needs = [u for u in above[name] if above[u] or len(below[u]) > 1]
        if below[name] and len(needs) < len(below[name]):
            ranks[name] = min(ranks[v] for v in below[name]) - 1
    first = min(ranks.values(), default=0)
    return {name: r - first for name, r in ranks.items()}


def _joined(ranks: Mapping[str, int], wires: Sequence[Wire], last: str) -> _Rows:
    """Rows with places for the wires that pass them; first in the order in which they are met from the bottom."""
    rows = _Rows([[] for _ in range(max(ranks.values(), default=0) + 1)])
    inputs = {w.port.box for w in wires} - {w.lower for w in wires}
    for w in wires:
        item: Item = w.port.box
        for r in range(ranks[w.port.box] + 1, ranks[w.lower]):
            rows.join(item, (w.port, r), 16.0)
            item = (w.port, r)
        rows.join(item, w.lower, 1.0 if w.port.box in inputs else 4.0)
    seen: set[Item] = set()
    for start in (last, *ranks):
        stack: list[Item] = [start]
        while stack:
            item = stack.pop()
            if item in seen:
                continue
            seen.add(item)
            rows.rows[item[1] if isinstance(item, tuple) else ranks[str(item)]].append(item)
            stack += reversed(list(rows.above.get(item, ())))
    return rows


def _order(rows: _Rows) -> None:
    """Fewer crossings: each row by the barycentres of its neighbours, down and up, the best order kept."""
    best, fewest = [list(r) for r in rows.rows], _crossings(rows)
    for sweep in range(8):
        if not fewest:
            break
        upward = sweep % 2 == 1
        towards = rows.below if upward else rows.above
        for r in reversed(rows.rows) if upward else rows.rows:
            places = _places(rows)
            centre = {}
            for item in r:
                near = [places[n] for n in towards.get(item, ())]
                centre[item] = sum(near) / len(near) if near else places[item]
            r.sort(key=centre.__getitem__)
        _exchange(rows)
        found = _crossings(rows)
        if found < fewest:
            best, fewest = [list(r) for r in rows.rows], found
    rows.rows = best


def _places(rows: _Rows) -> dict[Item, float]:
    """How far along its row each item stands, from 0 to 1."""
    return {item: (k + 0.5) / len(r) for r in rows.rows for k, item in enumerate(r)}


def _exchange(rows: _Rows) -> None:
    """Neighbours change places where their wires cross less so."""
    for r in rows.rows:
        places = _places(rows)
        for k in range(len(r) - 1):
            a, b = r[k], r[k + 1]
            now = later = 0
            for side in (rows.above, rows.below):
                for p in side.get(a, ()):
                    for q in side.get(b, ()):
                        now += places[p] > places[q]
                        later += places[p] < places[q]
            if later < now:
                r[k], r[k + 1] = b, a


def _crossings(rows: _Rows) -> int:
    places, total = _places(rows), 0
    for r in rows.rows:
        ends = [sorted(places[n] for n in rows.below.get(item, ())) for item in r]
        met: list[float] = []
        for near in ends:
            total += sum(1 for n in near for m in met if m > n)
            met += near
    return total


# columns


def _columns(
    rows: _Rows, reach: Mapping[str, tuple[float, float]], offsets: Mapping[Port, float]
) -> dict[Item, float]:
    """The x of each item: near its neighbours, and apart from those of its row."""
    extent = {item: reach[item] if isinstance(item, str) else (_LANE, _LANE) for r in rows.rows for item in r}
    x: dict[Item, float] = {}
    for r in rows.rows:
        x.update(zip(r, spread([0.0] * len(r), [extent[i] for i in r], GAP), strict=True))
    for sweep in range(24):
        both, upward = sweep >= 20, sweep % 2 == 1
        for r in reversed(rows.rows) if upward else rows.rows:
            wanted, weights = [], []
            for item in r:
                near: list[tuple[float, float]] = []
                if both or not upward:
                    near += [(x[u] + _port(u, item, offsets), w) for u, w in rows.above.get(item, {}).items()]
                if both or upward:
                    near += [(x[v] - _port(item, v, offsets), w) for v, w in rows.below.get(item, {}).items()]
                total = sum(w for _, w in near)
                wanted.append(sum(n * w for n, w in near) / total if near else x[item])
                weights.append(total or 1.0)
            x.update(zip(r, spread(wanted, [extent[i] for i in r], GAP, weights), strict=True))
    return x


def _port(upper: Item, lower: Item, offsets: Mapping[Port, float]) -> float:
    """How far from its box's centre a wire begins, where it passes a place of its own below."""
    return offsets[lower[0]] if isinstance(lower, tuple) and isinstance(upper, str) else 0.0


def spread(
    wanted: Sequence[float],
    extents: Sequence[tuple[float, float]],
    gap: float,
    weights: Sequence[float] | None = None,
) -> list[float]:
    """Places in this order, apart by their extents and the gap, as near as can be (least squares) to the wanted ones.

    By pooling adjacent violators.

    >>> spread([0, 0, 9], [(1, 1), (1, 1), (1, 1)], 0.0)
    [-1.0, 1.0, 9.0]
    """
    at, shift = 0.0, []
    for k, (left, _) in enumerate(extents):
        at += (extents[k - 1][1] + gap + left) if k else 0.0
        shift.append(at)
    pools: list[list[float]] = []  # sum, weight, count
    for k, w in enumerate(wanted):
        weight = weights[k] if weights else 1.0
        pools.append([(w - shift[k]) * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, more, count = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + more, pools[-1][2] + count]
    means = [total / weight for total, weight, count in pools for _ in range(int(count))]
    return [m + s for m, s in zip(means, shift, strict=True)]


# lines


def _drawn(
    rows: _Rows,
    ranks: Mapping[str, int],
    boxes: Mapping[str, tuple[float, float]],
    reach: Mapping[str, tuple[float, float]],
    offsets: Mapping[Port, float],
    x: dict[Item, float],
    wires: Sequence[Wire],
    loops: Sequence[Wire],
) -> Placed:
    left = min(x[i] - reach[i][0] if isinstance(i, str) else x[i] - _LANE for i in x) - MARGIN
    right = max(x[i] + reach[i][1] if isinstance(i, str) else x[i] + _LANE for i in x) + MARGIN
    x = {i: at - left for i, at in x.items()}
    arrivals = _arrivals(rows, ranks, boxes, offsets, x, wires)

    def begin(w: Wire, r: int) -> float:
        """Where a wire leaves a row."""
        return x[w.port.box] + offsets[w.port] if r == ranks[w.port.box] else x[w.port, r]

    def end(w: Wire, r: int) -> float:
        """Where it comes to one."""
        return arrivals[w.port, w.lower] if r == ranks[w.lower] else x[w.port, r]

    spans = [(w, r) for w in wires for r in range(ranks[w.port.box], ranks[w.lower])]
    slant = [0.0] * len(rows.rows)
    for w, r in spans:
        slant[r] = max(slant[r], abs(begin(w, r) - end(w, r + 1)))
    tops, bottoms, y = [], [], MARGIN
    for r, row in enumerate(rows.rows):
        tall = max((boxes[i][1] for i in row if isinstance(i, str)), default=0.0)
        tops.append(y)
        bottoms.append(y + tall)
        y += tall + TRUNK + _CURVE + min(40.0, 0.12 * slant[r])
    placed = {
        n: Rect(_r(x[n]), _r((tops[ranks[n]] + bottoms[ranks[n]]) / 2), _r(w), _r(h))
        for n, (w, h) in boxes.items()
    }
    strokes: dict[tuple[str, Segment], None] = {}
    heads: dict[tuple[str, Point, Point], None] = {}
    labels: dict[Port, Rect] = {}

    def line(style: str, *points: Point) -> None:
        if any(p != points[0] for p in points):
            strokes[style, tuple((_r(a), _r(b)) for a, b in points)] = None

    for w, r in spans:
        style, a, b = w.port.style, begin(w, r), end(w, r + 1)
        start = placed[w.port.box].bottom if r == ranks[w.port.box] else tops[r]
        low, high = bottoms[r] + TRUNK, tops[r + 1]
        line(style, (a, start), (a, low))
        middle = (low + high) / 2
        if abs(a - b) < 0.06:
            line(style, (a, low), (b, high))
        else:
            line(style, (a, low), (a, middle), (b, middle), (b, high))
        if r + 1 == ranks[w.lower]:
            line(style, (b, high), (b, placed[w.lower].top))
    for w in wires:
        box = placed[w.port.box]
        at = x[w.port.box] + offsets[w.port]
        if w.up:
            heads[w.port.style, (_r(at), _r(box.bottom)), (0.0, -1.0)] = None
        else:
            heads[w.port.style, (_r(arrivals[w.port, w.lower]), _r(placed[w.lower].top)), (0.0, 1.0)] = None
        if w.port.label:
            labels[w.port] = Rect(_r(at), _r(box.bottom + 6 + LABEL / 2), _r(w.port.width), LABEL)
    for w in loops:
        box, style = placed[w.lower], w.port.style
        high = min(box.height / 4, 14.0)
        up, down, out = (box.right, box.y - high), (box.right, box.y + high), box.right + _LOOP * 4 / 3
        line(style, down, (out, box.y + high), (out, box.y - high), up)
        heads[style, (_r(up[0]), _r(up[1])), (-1.0, 0.0)] = None
        labels[w.port] = Rect(
            _r(box.right + _LOOP + 3 + w.port.width / 2), _r(box.y), _r(w.port.width), LABEL
        )
    return Placed(_r(right - left), _r(bottoms[-1] + MARGIN), placed, labels, strokes, heads)


def _arrivals(
    rows: _Rows,
    ranks: Mapping[str, int],
    boxes: Mapping[str, tuple[float, float]],
    offsets: Mapping[Port, float],
    x: Mapping[Item, float],
    wires: Sequence[Wire],
) -> dict[tuple[Port, str], float]:
    """Where each wire meets the upper side of its lower box: straight below where it comes from, if that can be."""
    met: dict[str, dict[Port, float]] = {}
    for w in wires:
        before = ranks[w.lower] - 1
        near = before == ranks[w.port.box]
        came = x[w.port.box] + offsets[w.port] if near else x[w.port, before]
        met.setdefault(w.lower, {})[w.port] = came
    found: dict[tuple[Port, str], float] = {}
    for name, origins in met.items():
        ports = sorted(origins, key=origins.__getitem__)
        half = boxes[name][0] / 2 - ROUND / 2
        places = [min(max(origins[p], x[name] - half), x[name] + half) for p in ports]
        for k in range(1, len(ports)):
            places[k] = max(places[k], places[k - 1] + ROUND)
        limit = x[name] + half
        for k in reversed(range(len(ports))):
            places[k] = limit = min(places[k], limit)
            limit -= ROUND
        found.update({(p, name): at for p, at in zip(ports, places, strict=True)})
    return found


def _r(value: float) -> float:
    return round(value, 1) + 0.0
