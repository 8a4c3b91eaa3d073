"""The commands. No mathematics here: each is a few calls of the front door.

An error is one paragraph on standard error and exit status 2; never a traceback (unless SYMGRAD_DEBUG is set).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import symgrad
from symgrad import declaration_options, shipped, update_options
from symgrad.commands import Parser, counted, keep_apart, quoted, terminated_tidily, wrote
from symgrad.errors import SymgradError
from symgrad.files import json_of, read_text, write_atomically
from symgrad.seen import straight

if TYPE_CHECKING:  # a command imports what it needs, so that help and complaints come at once
    from symgrad import Derivation, Model
    from symgrad.explain import Document
    from symgrad.worked import Worked

_SHEETS = ("problem", "hints", "solution")
_SHEET_ENDINGS = {"text": ".txt", "markdown": ".md", "html": ".html", "tex": ".tex", "pdf": ".pdf"}
SPLITTING = ("threads", "tile", "micro_batch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 1 where a check fails, or 2 for input that cannot be taken."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.run not in (_train, _study):
        parser.prog += f" {options.command}"  # whose help says what there is
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        with terminated_tidily():
            keep_apart(options)
            status = options.run(options)
            print(end="", flush=True)  # sys.stdout is None where there is no output
            return int(status)
    except SymgradError as problem:
        print(f"symgrad: {problem}", file=sys.stderr)
        return 2
    except OSError as problem:  # of the output: those of files are told by name
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(problem, BrokenPipeError):  # its reader has gone
            return 0
        what = problem.filename or "what it tells cannot be written"
        print(straight(f"symgrad: {what}: {problem.strerror or problem}"), file=sys.stderr)
        return 2
    except UnicodeEncodeError as problem:
        print(
            f"symgrad: the output's encoding, {problem.encoding}, has no {problem.object[problem.start]!a}; "
            "set PYTHONIOENCODING=utf-8, or write a file with -o",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("symgrad: interrupted", file=sys.stderr)
        return 130
    except Exception as problem:
        if os.environ.get("SYMGRAD_DEBUG"):
            raise
        print(
            f"symgrad: this is a fault of symgrad, not of your input ({type(problem).__name__}: "
            f"{straight(str(problem))}); "
            "please report it with the command you gave; SYMGRAD_DEBUG=1 shows where it happened",
            file=sys.stderr,
        )
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="symgrad", description="Gradients derived, explained and turned into code.")
    parser.add_argument("--version", action="version", version=f"symgrad {symgrad.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")

    def command(
        name: str, run: object, help: str, declared: bool = True, helps: bool = True
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, add_help=helps)
        sub.set_defaults(run=run)
        if declared:
            declaration_options.add(sub)
        return sub

    demo = command(
        "demo", _demo, "Declare, derive, check and train a classifier of handwritten digits.", declared=False
    )
    demo.add_argument("--out", type=Path, default=Path("symgrad-demo"), help="folder for what it writes")
    demo.add_argument("--epochs", type=int, default=40)
    demo.add_argument("--style", choices=("readable", "fast"), default="fast")

    sub = command("derive", _derive, "Derive the gradient of a loss and print every step.")
    sub.add_argument("--wrt", metavar="w,X", help="what to differentiate by; every weight if not given")
    _formats(sub, "text", "latex", "tex", "html", "markdown", "pdf", "json", "numpy", "svg", "tikz")
    sub.add_argument(
        "--direction", choices=("forward", "backward", "both"), default="both", help="what svg and tikz show"
    )
    sub.add_argument(
        "--picture", action="store_true", help="the computational graph in front of the derivation"
    )
    sub.add_argument(
        "--form", default="matrix", metavar="matrix,index,scalar",
        help="one of them, or several, or all, side by side; scalar writes out every entry and needs sizes",
    )  # fmt: skip
    sub.add_argument("--detail", choices=("result", "steps", "everything"), default="steps")
    sub.add_argument(
        "--layout", choices=("gradient", "jacobian"), default="gradient",
        help="in matrix form: gradients in the shape of their variables, or transposed",
    )  # fmt: skip
    sub.add_argument("--evaluation", action="store_true", help="read the text with `training` off")

    _kinds(sub)
    update_options.add(sub, None)
    _numbers_options(sub)

    sub = command("generate", _generate, "Write a standalone training module that needs NumPy only.")
    sub.add_argument("output", type=Path, help="the file to write, such as digits.py")
    _module_options(sub)
    sub.add_argument(
        "--weighted", action="store_true", help="training takes weights of examples and of classes"
    )
    sub.add_argument(
        "--report", action="store_true",
        help="what a step of the fast style costs, with the numbers of --size; the module keeps its letters",
    )  # fmt: skip
    sub.add_argument(
        "--target", choices=("numpy", "numba"), default="numpy",
        help="numba: training in loops that Numba compiles, where it is installed; else NumPy computes",
    )  # fmt: skip
    sub.add_argument(
        "--estimator", action="store_true",
        help="with a class Classifier or Regressor in the manners of scikit-learn, too",
    )  # fmt: skip
    split = sub.add_argument_group("how a step of the module splits its batch, if it is not told otherwise")
    for name, help in (
        ("--threads", "how many threads share it, or: measure"),
        ("--tile", "how many examples are computed at a time, or: none (all), auto (the default), measure"),
        ("--micro-batch", "how many examples at most, or the memory they may take: 64MB"),
    ):
        split.add_argument(name, type=_counted, default=argparse.SUPPRESS, help=help)

    sub = command("check", _check, "Check the derived gradients numerically, and both styles of code.")
    sub.add_argument("--seed", type=int, default=0)
    how = sub.add_mutually_exclusive_group()
    how.add_argument(
        "--exact", action="store_true", help="prove them instead, in exact numbers of small sizes"
    )
    how.add_argument("--digits", type=int, metavar="50", help="compute with so many digits, from 20 to 1000")
    _kinds(sub)

    sub = command(
        "grade",
        _grade,
        "Say whether an answer is right, and if not, what is wrong.",
    )
    sub.add_argument(
        "--answer", action="append", default=[], metavar="'w=...'",
        help="an answer: text of the language after the name that it is for (not needed if there is only one)",
    )  # fmt: skip
    sub.add_argument("--wrt", metavar="w,X", help="what to differentiate by; every weight if not given")
    sub.add_argument("--at", type=Path, help="a JSON file with the inputs, for answers that are numbers")
    sub.add_argument(
        "--hint", nargs="?", type=int, const=1, choices=(1, 2, 3),
        help="only a hint, which does not give the answer away; without an answer 1 is the rule, 2 that in symbols, "
        "3 the first line",
    )  # fmt: skip
    sub.add_argument("--solution", action="store_true", help="the derivation below the verdict")
    _kinds(sub)

    sub = command(
        "train", _train, "Train a declared network on a table (CSV); further options go to the module.",
        helps=False,
    )  # fmt: skip
    sub.add_argument(
        "data",
        type=Path,
        help="a CSV file, the last column is the target; or .npz, .npy, a folder, shipped data",
    )
    sub.add_argument("-h", "--help", action=_TrainHelp, nargs=0, help="show this, and the module's options")
    _module_options(sub)
    sub.add_argument(
        "--class-weight", help="a weight for each class, such as 0=1,1=5 or cat=2,dog=1; or: balanced"
    )

    # its studies have options, and help, of their own
    command("study", _study, "Measure the error gradient, and explain it.", declared=False, helps=False)

    sub = command(
        "exercise", _exercise, "Write an exercise with numbers, its hints and its solution.", declared=False
    )
    sub.add_argument("--topic", default="dense", help="such as dense or ridge; --list says which there are")
    sub.add_argument("--seed", type=int, default=0, help="another seed, other sizes and numbers")
    sub.add_argument("--list", action="store_true", help="say which topics there are")
    sub.add_argument("--show", choices=_SHEETS, default="problem", help="what is printed, without a folder")
    sub.add_argument("--format", choices=_SHEET_ENDINGS, help="text on the terminal, markdown in a folder")
    sub.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="writes all three into this folder")

    sub = command("ops", _ops, "List every operation, or show one with its definition.", declared=False)
    sub.add_argument("name", nargs="?")
    _formats(sub, "text", "latex", "tex", "html", "markdown", "pdf")
    return parser


class _TrainHelp(argparse.Action):
    """The help of `train`, with the options that a module itself has; a small one is written to ask it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from symgrad import emit

        model = symgrad.Model("x: data[n, i]; y: data[n]; w: weight[i]; loss = mean((x @ w - y)**2)")
        module = emit.load(model.source("model", style="fast"), "symgrad_helping")
        own = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
        module["_train_options"](own.add_argument_group("options that go to the module's own train command"))
        parser.print_help()
        print("\n" + own.format_help().strip())
        parser.exit()


def _counted(text: str) -> int | str | None:
    """A whole number, or a word; "none" as Python has it."""
    return counted(0)(text) if text.isdecimal() else None if text == "none" else text


def _module_options(sub: argparse.ArgumentParser) -> None:
    update_options.add(sub)
    sub.add_argument("--style", choices=("readable", "fast"), default="fast")


def _formats(sub: argparse.ArgumentParser, *names: str) -> None:
    """Where a document goes, and in which format."""
    sub.add_argument(
        "--format", choices=names, help="text if neither this nor the file's name says otherwise; tex is a "
        "whole document, latex a fragment; svg and tikz draw the computational graph",
    )  # fmt: skip
    sub.add_argument("-o", "--output", type=Path, help="a file to write instead of the terminal")
    sub.add_argument("--open", action="store_true", help="show it in the browser, as html or pdf")


ENDINGS = {
    ".txt": "text", ".tex": "tex", ".html": "html", ".htm": "html", ".md": "markdown", ".pdf": "pdf",
    ".json": "json", ".py": "numpy", ".svg": "svg",
}  # fmt: skip
_SHOWN = {"html": ".html", "pdf": ".pdf"}


def _written(options: argparse.Namespace, document: Document, **more: Callable[[], str]) -> None:
    """A document in the format that was asked for, to where it was asked; `more` are further formats."""
    path: Path | None = options.output
    ending = path.suffix.lower() if path else ""
    if ending and ending not in ENDINGS and not options.format:
        raise SymgradError(
            f"the name {path} says no format; it ends with one of {', '.join(ENDINGS)}, or --format says which"
        )
    format = options.format or (ENDINGS.get(ending, "text") if path else "")
    format = format or ("html" if options.open else "text")
    if options.open and format not in _SHOWN:
        raise SymgradError(f"--open shows html or pdf in the browser, not {format}")
    if options.open and path is None:
        try:
            path = Path(tempfile.mkdtemp(prefix="symgrad-")) / f"derivation{_SHOWN[format]}"
        except OSError as problem:
            raise SymgradError(
                f"there is no place for it: {problem.strerror or problem}; -o names a file"
            ) from None
    if format == "pdf" and path is None:
        raise SymgradError("a PDF is written to a file: give its name, such as -o derivation.pdf")
    width = min(100, os.get_terminal_size().columns) if sys.stdout.isatty() else 80
    ways: dict[str, Callable[[], str]] = {
        "text": lambda: document.text(width),
        "latex": document.latex,
        "tex": lambda: document.latex(fragment=False),
        "html": document.html,
        "markdown": document.markdown,
        **more,
    }
    if format != "pdf" and format not in ways:
        raise SymgradError(f"the name {path} ends like {format}, which this has not; --format says another")
    made = ""
    if path is None:
        print(ways[format]().rstrip("\n"))
        return
    if format == "pdf":
        made = f" by {document.pdf(path)}"
    else:
        write_atomically(path, ways[format]().rstrip("\n") + "\n")
    wrote(path, made)
    if options.open and not webbrowser.open(path.resolve().as_uri()):
        raise SymgradError(f"no browser could be started; open {path} yourself")


def _kinds(sub: argparse.ArgumentParser) -> None:
    """What else may be derived than the gradient."""
    kinds = sub.add_mutually_exclusive_group()
    kinds.add_argument(
        "--jacobian", nargs="?", const="", metavar="z",
        help="the derivative of every entry of a tensor, the last one if none is named",
    )  # fmt: skip
    kinds.add_argument("--hessian", action="store_true", help="the second derivatives")
    kinds.add_argument("--hvp", action="store_true", help="the Hessian times vectors")
    kinds.add_argument("--per-example", action="store_true", help="the gradient of each example's share")


def _numbers_options(sub: argparse.ArgumentParser) -> None:
    """The reader's own numbers."""
    group = sub.add_argument_group("numbers", "with any of these the derivation is worked out with numbers")
    group.add_argument(
        "--value",
        action="append",
        default=[],
        metavar='"X=[[1, 1/2], [0, 3]]"',
        help="the numbers of one input",
    )
    group.add_argument("--values", type=Path, metavar="FILE", help="a .json or .npz file of arrays by name")
    group.add_argument("--rate", help="the step of gradient descent, such as 0.5 or 1/2: shows the update")
    group.add_argument("--update", metavar="W1,W2", help="what is updated; every weight if not given")
    group.add_argument("--digits", type=int, default=6, help="how many digits of a number are shown")
    group.add_argument("--decimals", type=int, help="instead, how many places behind the point")
    group.add_argument("--seed", type=int, help="draws numbers for what is not given")


def _numbered(options: argparse.Namespace) -> bool:
    """Whether numbers were given, or asked for."""
    numbers = bool(options.value or options.values or options.seed is not None)
    if not numbers and (options.rate or options.update):
        raise SymgradError("--rate and --update take numbers: give them with --value, --values or --seed")
    if numbers and options.format in ("json", "numpy"):
        raise SymgradError(
            f"--format {options.format} takes no numbers; leave --value, --values and --seed out"
        )
    return numbers


def _worked(d: Derivation, options: argparse.Namespace, form: Any) -> Worked:
    from symgrad.worked import read_values

    return d.worked(
        read_values(options.value, options.values),
        rate=options.rate,
        update=options.update.split(",") if options.update else None,
        digits=options.digits,
        decimals=options.decimals,
        seed=options.seed,
        form=form,
        detail=options.detail,
        picture=options.direction if options.picture else None,
    )


def _derived(options: argparse.Namespace, wrt: list[str] | None = None, training: bool = True) -> Derivation:
    """The derivation that was asked for: of the gradient, unless an option says otherwise."""
    declaration, sizes = declaration_options.read(options)
    if options.jacobian is not None:
        of = options.jacobian or None
        return symgrad.jacobian(declaration, of, wrt, sizes=sizes, training=training)
    kinds = {"hessian": symgrad.hessian, "hvp": symgrad.hvp, "per_example": symgrad.per_example}
    kind = next((make for name, make in kinds.items() if getattr(options, name)), symgrad.derive)
    return kind(declaration, wrt, sizes=sizes, training=training)


def _update(options: argparse.Namespace) -> dict[str, Any]:
    """The update that is printed behind a derivation, if one was asked for."""
    numbers = update_options.read(options)
    if options.optimizer is None and numbers:
        raise SymgradError(f"--{next(iter(numbers)).replace('_', '-')} goes with --optimizer")
    return {"optimizer": options.optimizer, **numbers}


def _derive(options: argparse.Namespace) -> int:
    d = _derived(options, options.wrt.split(",") if options.wrt else None, not options.evaluation)
    form = options.form.split(",") if "," in options.form else options.form
    if _numbered(options):
        w = _worked(d, options, form)
        _written(
            options,
            w,
            svg=lambda: w.picture(options.direction, form=form, detail=options.detail).svg,
            tikz=lambda: w.picture(options.direction, form=form, detail=options.detail).tikz,
        )
        return 0
    _written(
        options,
        d.document(
            form=form,
            detail=options.detail,
            picture=options.direction if options.picture else None,
            layout=options.layout,
            **_update(options),
        ),
        json=d.json,
        numpy=d.numpy,
        svg=lambda: d.picture(options.direction, form=form, detail=options.detail).svg,
        tikz=lambda: d.picture(options.direction, form=form, detail=options.detail).tikz,
    )
    return 0


def _model(options: argparse.Namespace) -> Model:
    declaration, sizes = declaration_options.read(options)
    return symgrad.Model(declaration, sizes=sizes)


def _generate(options: argparse.Namespace) -> int:
    declaration, sizes = declaration_options.read(options)
    model = symgrad.Model(declaration, sizes=None if options.report else sizes)
    report = None
    if options.report:  # first: what cannot be counted is refused before anything is written
        report = model.report(
            optimizer=options.optimizer,
            sizes=sizes,
            weighted=options.weighted,
            **update_options.read(options),
        )
    splitting = {name: value for name, value in vars(options).items() if name in SPLITTING}
    path = model.generate(
        options.output,
        optimizer=options.optimizer,
        style=options.style,
        target=options.target,
        estimator=options.estimator,
        weighted=options.weighted,
        **update_options.read(options),
        **splitting,
    )
    wrote(path)
    if report is not None:
        print(f"\n{report}")
    return 0


def _check(options: argparse.Namespace) -> int:
    d = _derived(options)
    seed = options.seed
    verdict = d.check(seed=seed, exact=True) if options.exact else d.check(seed=seed, digits=options.digits)
    print(verdict)
    return 0 if verdict else 1


def _grade(options: argparse.Namespace) -> int:
    d = _derived(options, options.wrt.split(",") if options.wrt else None)
    at = _json(options.at) if options.at else None
    answers: dict[Any, Any] = {}
    for given in options.answer:
        named = re.match(r"\s*(\w+)\s*=(?!=)(.*)", given, re.DOTALL)
        if named and (named[1] in d.gradients or len(d.gradients) > 1):
            name, text = named[1], named[2]
        elif len(d.gradients) == 1:
            name, text = next(iter(d.gradients)), given
        else:
            raise SymgradError(f"--answer takes a name and an answer, such as 'w=2*x', not '{given}'")
        answers[name] = _numbers_in(text) if at is not None else text
    if options.hint and not answers:
        print("\n\n".join(d.hint(name, options.hint).text() for name in d.gradients))
        return 0
    verdict = d.grade(answers, at=at)
    if options.hint:
        print("right" if verdict else verdict.hint)
    else:
        print(verdict)
        if options.solution:
            print(f"\n{d.text()}")
    return 0 if verdict else 1


def _json(path: Path) -> Any:
    try:
        return json_of(read_text(path))
    except SymgradError:
        raise
    except ValueError as problem:
        raise SymgradError(f"{path} cannot be used: {problem}") from None


def _numbers_in(text: str) -> Any:
    """Numbers in brackets as lists; other text as it is."""
    try:
        return json_of(text)
    except ValueError:
        return text


def _train(options: argparse.Namespace) -> int:
    from symgrad import emit

    model = _model(options)
    module = emit.load(
        model.source(
            model.name if model.name.isidentifier() else "model",
            optimizer=options.optimizer,
            style=options.style,
            weighted=options.class_weight is not None,
            **update_options.read(options),
        ),
        "symgrad_trained",
    )
    weights = [] if options.class_weight is None else ["--class-weight", options.class_weight]
    return int(module["main"](["train", str(shipped.data(str(options.data))), *weights, *options.rest]))


def _study(options: argparse.Namespace) -> int:
    from symgrad.study import command

    return command.main(options.rest)


def _exercise(options: argparse.Namespace) -> int:
    from symgrad.exercises import topics

    if options.list:
        known = topics()
        wide = max(map(len, known))
        for name, topic in known.items():
            print(f"{name.ljust(wide)}  {topic.about}")
        return 0
    made = symgrad.exercise(options.topic, options.seed)
    sheets: dict[str, Document] = {name: getattr(made, name) for name in _SHEETS}
    if options.output:
        ending = _SHEET_ENDINGS[options.format or "markdown"]
        for name, document in sheets.items():
            path = options.output / f"{options.topic}-{options.seed}-{name}{ending}"
            document.save(path)
            wrote(path)
        return 0
    shown = sheets[options.show]
    if options.format == "pdf":
        raise SymgradError("a PDF is written to a folder: give one, such as -o exercises")
    width = min(100, os.get_terminal_size().columns) if sys.stdout.isatty() else 80
    ways = {"markdown": shown.markdown, "html": shown.html, "tex": lambda: shown.latex(fragment=False)}
    print(ways[options.format]() if options.format in ways else shown.text(width))
    if options.format in (None, "text") and options.show != "solution":
        again = quoted("symgrad", "exercise", "--topic", options.topic, "--seed", options.seed, "--show")
        print(f"\nHints: {again} hints\nSolution: {again} solution")
    return 0


def _ops(options: argparse.Namespace) -> int:
    from symgrad import gallery

    paged = bool(options.format or options.output or options.open)
    if paged and not options.name:
        raise SymgradError(
            "a page shows one operation: give its name, such as symgrad ops gelu --format html --open"
        )
    if paged:
        _written(options, gallery.operation(options.name).document())
    else:
        print(symgrad.describe(options.name))
    return 0


def _demo(options: argparse.Namespace) -> int:
    """The main job, end to end."""
    from symgrad import emit

    start = time.perf_counter()
    declared = shipped.network("digits").read_text(encoding="utf-8")
    print(f"A network, as declared:\n\n{declared}")
    model = symgrad.Model(declared)
    d: Derivation = model.derive()
    print(f"Its gradient, derived:\n\n{d.text()}\n")
    out: Path = options.out
    source = model.source("digits", optimizer="adam", style=options.style, lr=0.003)
    module = out / "digits.py"
    write_atomically(module, source)
    write_atomically(out / "digits.tex", d.latex(fragment=False))
    wrote(module, f" and {out / 'digits.tex'}\n")
    verdict = d.check()
    print(f"Checked by complex steps in float64:\n\n{verdict}\n")
    if not verdict.ok:
        return 1
    running = emit.load(source, "symgrad_demo")
    train = ["train", str(shipped.table("digits")), "--epochs", str(options.epochs), "--test-split", "0.2"]
    status = int(running["main"]([*train, "--save", str(out / "digits.npz")]))
    print(f"\n{time.perf_counter() - start:.1f} s in all. Next: {quoted('python', module, '--help')}")
    return status
