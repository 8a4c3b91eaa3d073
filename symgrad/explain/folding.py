"""Long networks told shortly: equations and passages that repeat, layer after layer, with other numbers in their names
are told once with a letter for the number, "for l = 6, ..., 2".

What is folded is decided by what stands on the page: two passages are alike if their equations, headings and reasons
are the same formulas but for numbers in names of tensors (h3 and h4, W3 and W4, δ3 and δ4), each of which is the same
or goes on by the same from one to the next, at least one of them by one; and if these tensors have the same shapes and
roles. Thus the folded equation with a number for its letter is the equation of that number, sign by sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import chain
from typing import Any, TypeVar, Union

from symgrad.explain.beside import shown
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Derivative, Formula, Relation, Symbol, walk
from symgrad.explain.parts import AFTER, Equation, Part, Passage, Remark, Sentence, Story, progression
from symgrad.language.program import Tensor

LEAST = 3  # alike passages in a row that are told as one
_PERIODS = 6  # lengths of what repeats that are tried from one place
_LETTERS = "lkmpqrsabcdefghij"
_NUMBER = re.compile(r"(?<!\d)(?:0|[1-9]\d*)(?!\d)")
_CITED = re.compile(r"(?<![\w`.])\d+(?![\w`])")  # the number of an equation in a sentence
_UPRIGHT = re.compile(r"\\(?:mathrm|text)\{[^{}]*$")

Forms = tuple[Equation, ...]  # one equation in each form that is shown


def folded(story: Story, cast: Cast) -> Story:
    """The story with what repeats told once; the story itself where nothing does.

    Args:
        cast: who appears in it.
    """
    folder = _Folder(cast, _symbols(story))
    parts: list[Part] = []
    waiting: list[Passage] = []
    for p in (*story.passages, None):
        if isinstance(p, Passage) and not p.forward and p.heading != ("Result",):
            waiting.append(p)
            continue
        parts += folder.passages(waiting)
        waiting = []
        if p is not None:
            parts += folder.equations(p) if isinstance(p, Passage) else [p]
    return replace(story, notation=(*story.notation, *folder.notation()), passages=tuple(parts))


@dataclass(frozen=True)
class _Item:
    """What may repeat, apart from the numbers in it: those of names, and those of equations that it cites."""

    same: object
    numbers: tuple[int, ...]
    cited: tuple[int, ...]


@dataclass(frozen=True)
class _Run:
    """`count` times `period` items from `start`; each time the numbers in names go on by `step`, or stay."""

    start: int
    period: int
    count: int
    step: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count

    def place(self, k: int) -> list[int]:
        """The items at place `k` of each time."""
        return list(range(self.start + k, self.stop, self.period))


class _Folder:
    def __init__(self, cast: Cast, shown: Iterable[Symbol]):
        self.tensors: Mapping[str, Tensor] = cast.tensors
        names = cast.names
        taken = {*cast.tensors, *names.letters, names.loss, *(a for t in cast.statements for a, _ in t.axes)}
        taken |= {text.rstrip("0123456789′") for x in shown for text in (x.code, x.text)}
        self.letter = next((x for x in _LETTERS if x not in taken), "ℓ")
        self.examples: dict[Formula, tuple[int, Formula]] = {}

    def notation(self) -> list[Sentence]:
        """What the letter means, by the first names that carry it."""
        if not self.examples:
            return []
        at = next(iter(self.examples.values()))[0]
        (f, example), *others = [(f, example) for f, (n, example) in self.examples.items() if n == at]
        symbol = Symbol(self.letter, self.letter, self.letter)
        equal = Relation((symbol, Symbol(str(at), str(at), str(at))), ("=",))
        first = "What is said for several "
        then = " is said for each of them in turn, and has their numbers in that order: for "
        told: Sentence = (first, symbol, then, equal, ", ", f, " is ", example)
        other = next((p for p in others if _stem(p[0]) != _stem(f)), None)
        also: Sentence = () if other is None else (" and ", other[0], " is ", other[1])
        return [(*told, *also, ".")]

    # what is folded

    def equations(self, p: Passage) -> list[Passage]:
        """A passage whose equations may repeat, in parts: what comes before the run, the run, what follows."""
        columns = [equations for _, equations in shown(p)]
        if len({len(equations) for equations in columns}) > 1:
            return [p]
        rows: list[Forms] = list(zip(*columns, strict=True))
        items = [self._item(row) for row in rows]
        runs = _runs(items, lambda run: self._phase(run, rows, items))
        if not runs:
            return [p]
        found: list[Passage] = []
        done = 0
        for run in [*runs, None]:
            plain = rows[done : run.start if run else len(rows)]
            if plain:
                found.append(p.part(plain, (*p.heading, AFTER) if done else p.heading))
            if run:
                told = _Told(self, run, items)
                each = [told.row([rows[n] for n in run.place(k)], k) for k in range(run.period)]
                found.append(p.part(each, (*p.heading, *told.range())))
                done = run.stop
        return p.divided(found)

    def passages(self, told: Sequence[Passage]) -> list[Passage]:
        """Passages, those that repeat as one."""
        items = [self._item(p) for p in told]
        found: list[Passage] = []
        done = 0
        for run in _runs(items):
            block = told[run.start : run.start + run.period]
            if len({(p.form, *(form for form, _ in p.beside)) for p in block}) > 1:
                continue  # forms of one passage would stand beside those of another
            found += told[done : run.start]
            one = _Told(self, run, items)
            each = [one.passage([told[n] for n in run.place(k)], k) for k in range(run.period)]
            beside = tuple(
                (form, tuple(chain.from_iterable(p.beside[f][1] for p in each)))
                for f, (form, _) in enumerate(block[0].beside)
            )
            heading = (*each[0].heading, *one.range()) if run.period == 1 else one.range("For ")
            equations = tuple(e for p in each for e in p.equations)
            remarks = tuple(r for p in each for r in p.remarks)
            found.append(Passage(heading, equations, remarks, beside, block[0].form))
            done = run.stop
        return [*found, *told[done:]]

    def _phase(self, run: _Run, rows: Sequence[Forms], items: Sequence[_Item]) -> _Run:
        """The run from the place at which a layer begins: where all left sides have the same number."""
        for start in range(run.start, run.start + run.period):
            moved = _run(items, start, run.period)
            if moved is None:
                break
            told = _Told(self, moved, items)
            if len({told.own(k, rows[start + k][0].left) for k in range(run.period)}) == 1:
                return moved
        return run

    def _item(self, x: Union[Passage, Forms]) -> _Item:
        numbers: list[int] = []
        cited: list[int] = []

        def strip(s: Symbol) -> Formula:
            t = self.tensors[s.code]
            look = []
            for text in _scripts(s):
                numbers.extend(map(int, _NUMBER.findall(text)))
                look.append(_NUMBER.sub("#", text))
            return Symbol(f"{t.role} {t.integer} {t.shape}", *look)

        def word(text: str, heading: bool) -> Sentence:
            into = numbers if heading else cited
            into.extend(map(int, _CITED.findall(text)))
            return (_CITED.sub("#", text),)

        return _Item(self.mapped(x, strip, word), tuple(numbers), tuple(cited))

    def mapped(
        self, x: Any, symbol: Callable[[Symbol], Formula], word: Callable[[str, bool], Sentence]
    ) -> Any:
        """A passage or equations with each symbol of a tensor and each text of a sentence changed; always in the same
        order. What only programs read is left out."""

        def sentence(s: Sentence, heading: bool) -> Sentence:
            return tuple(
                y for part in s for y in (word(part, heading) if isinstance(part, str) else (of(part),))
            )

        def of(f: Any) -> Any:
            if type(f) is Symbol:
                return symbol(f) if f.code in self.tensors else f
            if isinstance(f, tuple):
                return tuple(map(of, f))
            if isinstance(f, Equation):
                numbers = ("#",) * len(f.numbers)
                return Equation(of(f.left), of(f.right), numbers, sign=f.sign, at=f.at)
            if isinstance(f, Remark):
                return Remark((), f.rule, sentence(f.sentence, False))
            if isinstance(f, Passage):
                heading = sentence(f.heading, True)
                return Passage(heading, of(f.equations), of(f.remarks), of(f.beside), f.form)
            if isinstance(f, Derivative):
                return Derivative(of(f.top), of(f.bottom), "", f.ahead)
            if is_dataclass(f) and not isinstance(f, Symbol):
                make: Any = type(f)
                return make(*(of(getattr(f, field.name)) for field in fields(f)))
            return f

        return of(x)


class _Told:
    """One run as it is told: its letter stands for the first number that goes on."""

    def __init__(self, folder: _Folder, run: _Run, items: Sequence[_Item]):
        self.folder, self.run, self.items = folder, run, items
        self.first = next(n for k in range(run.period) for n, by in self._numbers(k) if by == 1)

    def _numbers(self, k: int) -> list[tuple[int, int]]:
        """The numbers in names of the first item of a place, each with how far it goes on while the letter goes on by
        one."""
        a, b = (self.items[n].numbers for n in self.run.place(k)[:2])
        return [(x, (y - x) * self.run.step) for x, y in zip(a, b, strict=True)]

    def range(self, start: str = ", for ") -> Sentence:
        """`for l = 6, ..., 2`."""
        numbers = [self.first + self.run.step * n for n in range(self.run.count)]
        text = ", ".join(progression(list(map(str, numbers)), 1))
        to = Symbol(text, text, text.replace("...", r"\ldots"))
        return (start, Relation((self._letter(0), to), ("=",)))

    def own(self, k: int, left: Formula | None) -> int:
        """The number of a left side that goes on."""
        count = 0

        def symbol(s: Symbol) -> Formula:
            nonlocal count
            count += sum(len(_NUMBER.findall(text)) for text in _scripts(s))
            return s

        self.folder.mapped(left, symbol, lambda text, _: (text,))
        return next((n for n, by in self._numbers(k)[:count] if by == 1), self.first)

    def row(self, alike: Sequence[Forms], k: int) -> Forms:
        """One equation for all, in each form; its numbers are theirs."""
        told: Forms = self._told(alike[0], k)
        return tuple(map(_numbered, told, zip(*alike, strict=True)))

    def passage(self, alike: Sequence[Passage], k: int) -> Passage:
        """One passage for all; its numbers are theirs."""
        told: Passage = self._told(alike[0], k)
        beside = tuple(
            (form, tuple(map(_numbered, equations, zip(*(p.beside[f][1] for p in alike), strict=True))))
            for f, (form, equations) in enumerate(told.beside)
        )
        return replace(
            told,
            equations=tuple(map(_numbered, told.equations, zip(*(p.equations for p in alike), strict=True))),
            remarks=tuple(map(_numbered, told.remarks, zip(*(p.remarks for p in alike), strict=True))),
            beside=beside,
        )

    def _told(self, first: Any, k: int) -> Any:
        """The first item of a place with the letter for the numbers that go on, and with all the equations that are
        cited."""
        numbers = iter(self._numbers(k))
        cited = iter(zip(*(self.items[n].cited for n in self.run.place(k)), strict=True))

        def symbol(s: Symbol) -> Formula:
            text, latex = _scripts(s)
            text, latex = self._put(text, numbers, False), self._put(latex, numbers, True)
            if text == s.text:
                return s
            shown = Symbol(s.code, text, latex)
            self.folder.examples.setdefault(shown, (self.first, s))
            return shown

        def word(text: str, heading: bool) -> Sentence:
            if not heading:
                return (
                    _CITED.sub(
                        lambda _: ", ".join(progression(list(map(str, dict.fromkeys(next(cited)))))), text
                    ),
                )
            out: list[Union[str, Formula]] = []
            end = 0
            for m in _CITED.finditer(text):
                out += [text[end : m.start()], self._at(*next(numbers)) or m[0]]
                end = m.end()
            return (*out, text[end:])

        return self.folder.mapped(first, symbol, word)

    def _put(self, script: str, numbers: Iterator[tuple[int, int]], latex: bool) -> str:
        """A name with the letter for its numbers that go on; in text they stand in brackets: h(l)."""
        out, end = "", 0
        for m in _NUMBER.finditer(script):
            out += script[end : m.start()]
            end = m.end()
            shown = self._at(*next(numbers))
            if shown is None:
                out += m[0]
            elif not latex:
                out += f"({shown.text})"
            elif _UPRIGHT.search(out):
                out += rf"}}({shown.latex})\mathrm{{"
            else:
                out += shown.latex
        return (out + script[end:]).replace(r"\mathrm{}", "")

    def _at(self, n: int, by: int) -> Symbol | None:
        """A number that goes on, by the letter: l - 1, 2l."""
        return self._letter(n - by * self.first, by) if by else None

    def _letter(self, offset: int, by: int = 1) -> Symbol:
        factor = {1: "", -1: "-"}.get(by, str(by))
        text = f"{factor}{self.folder.letter}" + (f"{offset:+d}" if offset else "")
        return Symbol(text, text.replace("-", "−"), text)


_Numbered = TypeVar("_Numbered", Equation, Remark)


def _numbered(told: _Numbered, alike: Sequence[_Numbered]) -> _Numbered:
    """With the numbers of all that it stands for."""
    return replace(told, numbers=tuple(dict.fromkeys(n for e in alike for n in e.numbers)))


def _symbols(story: Story) -> Iterator[Symbol]:
    """All names that the reader sees."""
    passages = [p for p in story.passages if isinstance(p, Passage)]
    equations = [e for p in passages for _, told in shown(p) for e in told]
    for f in chain.from_iterable((e.left, e.right) for e in equations):
        yield from (x for x in walk(f) if isinstance(x, Symbol)) if f is not None else ()


def _scripts(s: Symbol) -> tuple[str, str]:
    """A symbol in text and in LaTeX, there with braces around each raised or lowered number."""
    return s.text, re.sub(r"([_^])(\d)", r"\1{\2}", s.latex)


def _stem(f: Formula) -> str:
    return f.text.partition("(")[0] if isinstance(f, Symbol) else ""


def _runs(items: Sequence[_Item], phase: Callable[[_Run], _Run] = lambda run: run) -> list[_Run]:
    """What repeats, from left to right; of the lengths that may repeat the one that covers most. `phase` may let a run
    begin a little later."""
    later: list[list[int]] = [[] for _ in items]
    met: dict[object, list[int]] = {}
    for n in range(len(items) - 1, -1, -1):
        after = met.setdefault(items[n].same, [])
        later[n] = after[: -_PERIODS - 1 : -1]
        after.append(n)
    found: list[_Run] = []
    n = 0
    while n < len(items):
        runs = [run for m in later[n] if (run := _run(items, n, m - n)) is not None]
        if runs:
            found.append(phase(max(runs, key=lambda run: run.stop)))
            n = found[-1].stop
        else:
            n += 1
    return found


def _run(items: Sequence[_Item], start: int, period: int) -> _Run | None:
    """How often the items from a place repeat."""
    steps = _steps(items, start, period)
    one = None if steps is None else next((n for n in steps[0] if abs(n) == 1), None)
    if one is None:
        return None
    count = 2
    while _steps(items, start + (count - 1) * period, period) == steps:
        count += 1
    return _Run(start, period, count, one) if count >= LEAST else None


def _steps(items: Sequence[_Item], start: int, period: int) -> tuple[list[int], list[int]] | None:
    """By how much the numbers in names, and those that are cited, go on from the items at a place to those after them;
    None if these are not alike."""
    first, second = items[start : start + period], items[start + period : start + 2 * period]
    if len(second) < period or any(a.same != b.same for a, b in zip(first, second, strict=True)):
        return None
    pairs = list(zip(first, second, strict=True))
    return (
        [m - n for a, b in pairs for n, m in zip(a.numbers, b.numbers, strict=True)],
        [m - n for a, b in pairs for n, m in zip(a.cited, b.cited, strict=True)],
    )
