"""Statements as three-address code: every array is allocated once, every step writes into what is there.

A plan is one function of the sizes. It makes constants, buffers and views, and returns `run`, which computes. A
buffer is used again when its value is dead: elementwise in place, else for the next value with as many entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from symgrad.emit.graph import Loop, improved, lowered
from symgrad.emit.improve import IMPROVEMENTS
from symgrad.emit.lower import Lowering
from symgrad.emit.memory import DTYPES, Memory, Writing
from symgrad.emit.names import Names
from symgrad.emit.plan import Plan, Work, text_number
from symgrad.emit.prepare import Prepared
from symgrad.emit.values import VIEWS, Value, contiguous, python, runs
from symgrad.language import ints
from symgrad.language.program import Program, Statement


class Fast(Memory):
    """One plan for a list of statements: a line for each value, into the memory that `Memory` gives it.

    Args:
        names: the names of tensors and sizes; `given` are in scope already, as arrays of their shapes.
        into: for tensors that are to end in an array in scope, that array's name.
        wanted: tensors whose value is asked for afterwards.
        numbers: the number in the derivation of each statement.
        behind: pairs of tensors, given or `into`, of which the second lies right behind the first in memory.
    """

    def __init__(
        self, program: Program, names: Names, numbers: Mapping[Statement, str],
        given: Iterable[str], into: Mapping[str, str], wanted: Iterable[str],
        behind: Iterable[tuple[str, str]] = (),
    ):  # fmt: skip
        super().__init__(names, into, behind)
        self.program, self.numbers = program, numbers
        self.given, self.wanted = tuple(given), tuple(wanted)
        self.taken: set[str] = set()  # the inputs that the code has
        self.numbers_made: dict[tuple[str, str], str] = {}
        self.before: list[str] = []  # the steps before the loop
        self.heading = ""

    def write(self, statements: Iterable[Statement]) -> Plan:
        """Lower all statements, then give each value a place and a line."""
        kept = (*self.into, *self.wanted)
        work = Prepared(self.program, statements, kept)
        lowering = Lowering(work.program, calls=False, products=True)
        graph = lowered(lowering, work.statements, kept)
        graph = improved(replace(graph, behind=self.behind), IMPROVEMENTS)
        order, loops, heads = graph.placed(), list(graph.loops), graph.heads
        self.settle(graph, order)
        waiting: list[Statement] = []
        starts = sorted(heads)
        for v in order:
            if self.loop is not None and self.loop.loop.end <= v.number:
                self._close()
            while self.loop is None and loops and loops[0].start <= v.number:
                loop = loops.pop(0)
                if v.number < loop.end:
                    self._open(loop)
            while starts and starts[0] <= v.number:
                waiting += heads[starts.pop(0)]
            if not v.once and v.op not in VIEWS and v.op != "input":
                told = [line for s in waiting for line in work.comment(s, self.numbers)]
                self.plan.steps += told
                self.heading = " ".join(line.removeprefix("#").strip() for line in told) or self.heading
                waiting = []
            self._place(v)
        if self.loop is not None:
            self._close()
        for name, v in self.results.items():
            lines = len(self.plan.steps)
            self._result(name, v)
            self._count(v, len(self.plan.steps) - lines)
        return self.plan

    def _count(self, v: Value, lines: int) -> None:
        """Keep what a value took, for a report."""
        if lines or self.made:
            loop = self.loop.loop if self.loop is not None else None
            self.plan.work.append(Work(self.heading, v, lines, tuple(self.made), loop))
            self.made.clear()

    def takes(self, name: str) -> bool:
        """Whether the code reads an array in scope of this name, or makes a buffer for it."""
        return name in self.taken

    def _open(self, loop: Loop) -> None:
        self.loop, self.before, self.plan.steps = Writing(loop), self.plan.steps, []

    def _close(self) -> None:
        """The lines of a loop that is complete: its views of each step are made once."""
        writing, steps = self.loop, self.plan.steps
        assert writing is not None
        self.loop, self.plan.steps = None, self.before
        loop, run, letter = writing.loop, writing.loop.run, self.names.of(writing.loop.run.letter)
        steps_text = self.text.steps(run.first, run.last + 1, False)
        if writing.views:
            name, views = self.names.counted("steps"), ", ".join(text for _, text in writing.views)
            self.plan.once.append(f"{name} = [({letter}, {views}) for {letter} in {steps_text}]")
            targets = f"{letter}, {', '.join(v for v, _ in writing.views)}"
            over = f"reversed({name})" if run.backward else name
        else:
            targets, over = letter, self.text.steps(run.first, run.last + 1, run.backward)
        self.plan.steps += [f"for {targets} in {over}:", *("    " + line for line in steps)]
        for root in [v for v in self.memory if v.number < loop.start]:
            if root not in self.pinned and self.last.get(root, -1) < loop.end:
                flat = self.memory.pop(root)
                self.free.setdefault((ints.product(root.shape), root.kind), []).append(flat)

    def _place(self, v: Value) -> None:
        self._write(v)
        for a in (*v.args, v):
            self._release(a, v)

    def _write(self, v: Value) -> None:
        lines = len(self.plan.steps)
        self._lines(v)
        self._count(v, len(self.plan.steps) - lines)

    def _lines(self, v: Value) -> None:
        bound, text = self.text.bound, self.text
        if v.op == "input":
            bound[v] = self.names.of(v.info)
            self.taken.add(v.info)
            if v.info not in self.given:
                kind = DTYPES[v.kind]
                self.plan.once.append(f"{bound[v]} = np.empty({text.shape(v.shape)}, {kind})")
                self.made.append((v.shape, v.kind))
        elif v.once:
            self._once(v)
        elif v.op in VIEWS:
            if v.args[0] in bound and (v.shape or v.root.shape) and v not in self.unread:
                self._bind(v)
        elif v.op in ("put", "store"):
            self._change(v)
        elif v.op == "stack":
            bound[v] = self.names.fresh("_".join(text(a) for a in v.args))
            self._joined(bound[v], *map(text, v.args))
        elif v.op == "border":
            bound[v] = self._surround(v, v.info)
        elif v.op == "pad":
            self._pad(v)
        elif not v.shape and self._inlined(v):
            pass
        elif not v.shape:
            name = self._name(v)
            self.plan.steps.append(f"{name} = {self._scalar(v)}")
            bound[v] = name
        else:
            self._compute(v)

    def _pad(self, v: Value) -> None:
        """An array in a border: the border is written once, into memory that nothing else uses."""
        if v in self.text.bound:
            return
        inner = self._border(v, self.names.counted("view"))
        self.plan.steps.append(f"{self._function('copyto')}({inner}, {self.text(v.args[0])})")

    def _inlined(self, v: Value) -> bool:
        """Whether a scalar is written where it is used: once, and made of scalars."""
        return (
            self.uses.get(v, 0) == 1
            and v.op == "ufunc"
            and not any(a.root.shape for a in v.args)
            and v not in self.results.values()
        )

    def _once(self, v: Value) -> None:
        if python(v):
            return
        text = self.text(v)
        if v.kind == "real" and v.op == "ufunc":
            text = f"({text}).astype(dtype)"
        name = self.names.counted("const")
        self.plan.once.append(f"{name} = {text}")
        if v.shape:
            self.made.append((v.shape, v.kind))
        self.text.bound[v] = name

    def _bind(self, v: Value) -> None:
        still = self._still(v)
        if v.op == "expand" and len(self.text(v)) < 24 and not still:
            return
        name = self._view_name(v)
        text = self._spelled(v) if still else self.text(v)
        if not v.shape:
            text = self._entry(text)
        if still:
            self._view(name, text, v.moving)
        else:
            self.plan.steps.append(f"{name} = {text}")
        self.text.bound[v] = name

    def _scalar(self, v: Value) -> str:
        if v.op == "matmul":
            a, b = v.args
            return f"{self.text(a)}.dot({self.text(b)})"
        if v.op == "reduce":
            name, over = v.info
            axis = "None" if len(over) == len(v.args[0].shape) else str(over)
            return f"{self._function(name)}.reduce({self.text(v.args[0])}, axis={axis})"
        # the number of this moment, where NumPy would give a view
        return f"{self.text(v)}[()]" if v.op == "stop" else self.text(v)

    def _function(self, name: str) -> str:
        """The local name of a function of NumPy."""
        if name not in self.plan.ufuncs:
            self.plan.ufuncs[name] = self.names.fresh(name)
        return self.plan.ufuncs[name]

    def _compute(self, v: Value) -> None:
        text = self.text
        args = [self._number(a, v) if v.op == "ufunc" and python(a) else text(a) for a in v.args]
        dead = v.op == "clone" and v not in self.targets and self._take_over(v) is not None
        out = self._out(v)
        if dead:
            return  # the memory of what nothing else reads is its own copy
        add = self.plan.steps.append
        if v.op == "ufunc":
            # NumPy takes `out` by position, which is quicker, everywhere but here
            into = f"out={out}" if v.info in ("maximum", "minimum") else out
            add(f"{self._function(v.info)}({', '.join(args)}, {into})")
        elif v.op == "hide":
            if v.args[0].shape and all(x.once or self._still(x) for x in v.args):
                own = self._seen("bits", v.args[1], "_bits({})")
                bits = self._seen("bits", v.args[0], "_mask({}, dtype)")
                result = self._seen_out("bits", out, "_bits({})")
                self.plan.bits = True
                add(f"{self._function('multiply')}({own}, {bits}, {result})")
            else:
                add(f"{self._function('copyto')}({out}, np.where({args[0]}, {args[1]}, 0))")
        elif v.op == "where":
            add(f"{self._function('copyto')}({out}, {args[2]})")
            add(f"{self._function('copyto')}({out}, {args[1]}, where={args[0]})")
        elif v.op == "matmul":
            self._product(v, args, out)
        elif v.op == "einsum":
            add(f'np.einsum("{v.info}", {", ".join(args)}, out={out}, optimize=True)')
        elif v.op == "reduce":
            name, over = v.info
            axis = str(over[0]) if len(over) == 1 else str(over)
            add(f"{self._function(name)}.reduce({args[0]}, {axis}, None, {out})")
        elif v.op == "take":
            self._gather(v, args, out)
        elif v.op == "fill":
            if v.info is not None:  # else something is written everywhere
                add(f"{out}.fill({text_number(v.info)})")
        elif v.op == "implicit":
            add(f"{self._function('copyto')}({out}, {text.implicit(v.info, args)})")
        elif v.op == "stop":
            add(f"{self._function('copyto')}({out}, np.real({args[0]}))")
        else:  # real, copy, clone
            add(f"{self._function('copyto')}({out}, {args[0]})")

    def _number(self, a: Value, user: Value) -> str:
        """A number as an array without axes, which costs less per call than a Python number."""
        if a not in self.text.bound and not a.moving:
            whole = user.kind == "int" or any(b.kind == "int" and not python(b) for b in user.args)
            key = (self.text(a), "np.intp" if whole else "dtype")
            if key not in self.numbers_made:
                self.numbers_made[key] = self.names.counted("const")
                self.plan.once.append(f"{self.numbers_made[key]} = np.asarray({key[0]}, {key[1]})")
            return self.numbers_made[key]
        return self.text(a)

    def _product(self, v: Value, args: list[str], out: str) -> None:
        a, b = v.args
        flat = len(a.shape) <= 2 and len(b.shape) <= 2
        if flat and contiguous(a.root) and contiguous(b.root):
            self.plan.steps.append(f"{args[0]}.dot({args[1]}, {out})")
        elif len(a.shape) > 2 and len(b.shape) <= 2 and contiguous(a):
            rows = ints.product(a.shape[:-1])
            left = self._seen("view", a, f"{{}}.reshape{self.text.shape((rows, a.shape[-1]))}")
            result = self._seen_out("view", out, f"{{}}.reshape{self.text.shape((rows, *b.shape[1:]))}")
            self.plan.steps.append(f"{left}.dot({args[1]}, {result})")
        else:
            self.plan.steps.append(f"{self._function('matmul')}({args[0]}, {args[1]}, {out})")

    def _gather(self, v: Value, args: list[str], out: str) -> None:
        pattern = v.info
        chosen = [k for k, p in enumerate(pattern) if p is not None]
        if len(chosen) == 1:
            # positions are in range by declaration; "raise" would copy the output
            self.plan.steps.append(f'{args[0]}.take({args[1]}, {chosen[0]}, {out}, "clip")')
        else:
            self.plan.steps.append(
                f"{self._function('copyto')}({out}, {args[0]}[{self.text.positions(pattern, v.args[1:])}])"
            )

    def _into(self, v: Value) -> None:
        """An operation whose result is computed in a part of an array."""
        target, *args = v.args
        _, op, name, parts = v.info
        place = text = self.text.bound[v] = self.text.bound[target]
        shape = target.shape
        for how, what in parts:
            if how == "index":
                text += self.text.subscript(what, shape)
            else:
                text += f".{how}{self.text.shape(what) if how == 'reshape' else what}"
        if parts:
            place = self.names.counted("view")
            self._view(place, text, runs(parts))
        texts = [self._number(a, v) if python(a) else self.text(a) for a in args]
        called = self._function("matmul" if op == "matmul" else name)
        into = f"out={place}" if name in ("maximum", "minimum") else place
        self.plan.steps.append(f"{called}({', '.join(texts)}, {into})")

    def _change(self, v: Value) -> None:
        if v.info[0] == "into":
            self._into(v)
            return
        target, value, *positions = v.args
        name = self.text.bound[target]
        self.text.bound[v] = name
        ufunc, where = v.info
        add = self.plan.steps.append
        if v.op == "store":
            if v in self.direct.values():
                return
            place = self.names.counted("view")
            self._view(place, f"{name}{self._place_in(where, target)}", runs(where))
            if ufunc == "set":
                add(f"{self._function('copyto')}({place}, {self.text(value)})")
            else:
                add(f"{self._function(ufunc)}({place}, {self.text(value)}, out={place})")
            return
        place = self.text.positions(where, tuple(positions), ":" if ufunc == "set" else "slice(None)")
        if ufunc == "set" and len(target.shape) == 1:
            add(f"{name}.put({place}, {self.text(value)})")
        elif ufunc == "set":
            add(f"{name}[{place}] = {self.text(value)}")
        else:
            add(f"{self._function(ufunc)}.at({name}, ({place},), {self.text(value)})")

    def _result(self, name: str, v: Value) -> None:
        everywhere = name in self.into and v.op == "broadcast" and not v.args[0].shape
        text = self.text(v.args[0] if everywhere else v)
        if name in self.joined:
            text = self.into[name]
        elif name in self.into:
            if self.targets.get(v.root) != self.into[name] or v.op in VIEWS:
                self.plan.steps.append(f"{self._function('copyto')}({self.into[name]}, {text})")
            text = self.into[name]
        self.plan.results[name] = (
            f"{text}[()]" if not v.shape and (v.op in VIEWS or v.op == "input") else text
        )
