"""How a page looks: black on white or, where the reader prefers it, light on dark; on narrow screens an equation
scrolls, not the page; on paper nothing is folded."""

STYLE = """
:root {
  --paper: #fffefb; --ink: #1b1c20; --soft: #5b6070; --line: #dcdad2; --shade: #f5f3ec; --link: #1f4e8c;
  --mark: #fdf1c4; --word: #1f4e8c; --note: #5d6d4e; --quote: #8a4a2a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181d; --ink: #e6e3da; --soft: #a3a8b5; --line: #363a44; --shade: #1f2229; --link: #9cc3f5;
    --mark: #3d3822; --word: #9cc3f5; --note: #a3b593; --quote: #e0b494;
  }
}
* { box-sizing: border-box; }
html { color-scheme: light dark; background: var(--paper); color: var(--ink); text-size-adjust: 100%; }
body {
  margin: 0; font: 17px/1.5 "Latin Modern Roman", "STIX Two Text", "Palatino Linotype", Palatino, "Book Antiqua",
    Cambria, Georgia, "DejaVu Serif", serif;
}
main { max-width: 52rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.65rem; line-height: 1.25; font-weight: 600; margin: 0 0 1.25rem; }
h2 { font-size: 1.12rem; line-height: 1.35; font-weight: 600; margin: 2.1rem 0 .45rem; }
h3 { font-size: .85rem; font-weight: 600; color: var(--soft); margin: .2rem 0; }
p { margin: .5rem 0; }
h1, h2, p, li, td, th { overflow-wrap: anywhere; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
math {
  font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math", "TeX Gyre Termes Math",
    "XITS Math", "Noto Sans Math", "DejaVu Math TeX Gyre", math;
}
.notation {
  border: 1px solid var(--line); border-radius: 4px; background: var(--shade); padding: .6rem 1rem;
  font-size: .9rem;
}
.notation h2 { margin: 0 0 .2rem; font-size: .85rem; color: var(--soft); }
.notation p { margin: .2rem 0; }
.scroll { overflow-x: auto; overflow-y: hidden; }
.equations {
  display: grid; grid-template-columns: max-content 1fr max-content; align-items: baseline; row-gap: .55rem;
  width: max-content; min-width: 100%; padding: .35rem 0 .35rem 1.25rem;
}
.left { text-align: right; }
.right { white-space: nowrap; }
.more { padding-left: 2.2em; }
.number {
  position: sticky; right: 0; align-self: stretch; display: flex; align-items: center; justify-content: flex-end;
  color: var(--soft);
  background: var(--paper); padding-left: .8rem; font-variant-numeric: lining-nums tabular-nums;
}
.left:target, .left:target + .right { background: var(--mark); }
.left:has(:target), .left:has(:target) + .right { background: var(--mark); }
.reasons {
  list-style: none; margin: .35rem 0 0; padding: 0 0 0 1.25rem; font-size: .9rem; color: var(--soft);
}
.reasons li { margin: .22rem 0; padding-left: 1.1rem; text-indent: -1.1rem; }
.reasons math { color: var(--ink); text-indent: 0; }
.beside {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 23rem), 1fr)); gap: .5rem 1.5rem;
}
.beside .form { min-width: 0; }
.beside .form:last-child:nth-child(odd) { grid-column: 1 / -1; }
.beside .equations { padding-left: 0; }
summary {
  cursor: pointer; margin: 2.1rem 0 .45rem -1.1rem; padding-left: 1.1rem; list-style: none; position: relative;
}
summary::before { content: "▾"; position: absolute; left: 0; color: var(--soft); }
details:not([open]) summary::before { content: "▸"; }
summary::-webkit-details-marker { display: none; }
summary h2 { margin: 0; }
code, pre { font-family: "Latin Modern Mono", "JetBrains Mono", Consolas, Menlo, "DejaVu Sans Mono", monospace; }
code { font-size: .92em; }
pre {
  overflow-x: auto; background: var(--shade); border: 1px solid var(--line); border-radius: 4px;
  padding: .7rem .9rem; font-size: .85rem; line-height: 1.4; unicode-bidi: plaintext; tab-size: 4;
}
pre code { font-size: inherit; }
pre .k { color: var(--word); }
pre .c { color: var(--note); font-style: italic; }
pre .s { color: var(--quote); }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { border-bottom: 2px solid var(--line); }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .88rem; color: var(--soft); }
@page { size: A4; margin: 18mm 17mm; }
@media print {
  :root {
    --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --shade: #fff; --link: #000; --mark: #fff;
    --word: #000; --note: #444; --quote: #000;
  }
  html { color-scheme: light; }
  body { font-size: 10.5pt; line-height: 1.4; }
  main { max-width: none; padding: 0; }
  h1, h2, h3, summary { break-after: avoid; }
  section { break-inside: avoid; }
  section:has(details), section:has(pre) { break-inside: auto; }
  li, tr, figure, .left, .right, .number { break-inside: avoid; }
  .scroll, figure, pre { overflow: visible; }
  .equations { width: 100%; }
  .number { position: static; }
  pre { white-space: pre-wrap; }
  summary::before { content: ""; }
}
"""
