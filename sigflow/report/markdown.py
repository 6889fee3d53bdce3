"""Text and tables as Markdown shows them, whatever labels hold."""

import re

from sigflow.report.tables import Table


def table(rows: Table) -> str:
    """With its header; `None.` without rows."""
    header, lines = rows
    if not lines:
        return "None."
    shown = [header, ["---"] * len(header), *([escape(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def escape(text: str) -> str:
    """As Markdown shows it letter by letter: labels may hold anything."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", one_line)
