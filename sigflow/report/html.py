"""Pages that stand alone: pictures inside, no scripts, nothing fetched; for a phone, a desk, and paper."""

import base64
from html import escape

from sigflow.report.tables import Table

Picture = tuple[str, bytes]  # what it shows, for those who cannot see it, and a PNG

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fff; --faint: #6a6a70; --line: #d9d9de; --soft: #f4f4f7;
  --good: #006b4a; --bad: #b23c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --paper: #17171a; --faint: #a0a0a8; --line: #3a3a40;
  --soft: #222227; --good: #4cc9a0; --bad: #ff9a5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, ul { margin: .4rem 0; } ul { padding-left: 1.2rem; } .faint { color: var(--faint); font-size: .875rem; }
.verdict { border-left: .4rem solid var(--faint); background: var(--soft); padding: .8rem 1rem; margin: 1rem 0; }
.verdict strong { font-size: 1.1rem; } .verdict.passed { border-color: var(--good); }
.verdict.missed { border-color: var(--bad); }
td.passed { color: var(--good); font-weight: 600; } td.missed { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; overflow-wrap: normal; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--faint); font-weight: 600; } th:first-child, td:first-child { text-align: left; max-width: 18rem; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; } td:first-child { white-space: normal; }
table.names td:nth-child(2), table.names th:nth-child(2) { text-align: left; max-width: 18rem; }
figure { margin: .6rem 0; overflow-x: auto; } .chart img { min-width: 34rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .4rem; }
figcaption { font-size: .9rem; }
pre { white-space: pre-wrap; font-size: .8rem; background: var(--soft); padding: .8rem; }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #444; --line: #bbb; --soft: #fff; }
  body { max-width: none; font-size: 11px; padding: 0; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } .chart img { min-width: 0; } }
"""


def document(title: str, body: str) -> str:
    """A whole page around `body`, which is HTML; `title` is text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def table(rows: Table, *, names: bool = False) -> str:
    """As HTML; `names`: the second column is text too."""
    header, lines = rows
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in lines)
    kind = ' class="names"' if names else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = f' class="{text}"' if text in ("passed", "missed") else ""
    return f"<td{kind}>{escape(text)}</td>"


def image(what: str, data: bytes) -> str:
    """A PNG inside the page; `what` it shows, for those who cannot see it."""
    coded = base64.b64encode(data).decode()
    return f'<figure><img alt="{escape(what)}" src="data:image/png;base64,{coded}"></figure>'
