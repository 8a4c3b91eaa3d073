"""The error gradient studied by measurement and by its derivation: `symgrad study`.

    from symgrad import study

    report = study.rate("net.sg", "data.csv")
    print(report)                    # tables for the terminal
    report.save("rate")              # report.html, and every plot as SVG and PNG

A study is what is measured (numbers only), what is told of it (a `Report` of prose, tables and plots), and a `Study`
that `command` lists: its name, its options, and how they are used. `Setting` is the network as a function of one vector
of all weights; `plots` is the only file that knows matplotlib.
"""

from symgrad.study.flow import flow
from symgrad.study.gradient import gradient
from symgrad.study.landscape import landscape
from symgrad.study.rate import rate
from symgrad.study.report import Plot, Report
from symgrad.study.setting import Setting

__all__ = ["Plot", "Report", "Setting", "flow", "gradient", "landscape", "rate"]
