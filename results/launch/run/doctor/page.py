"""A check of a GPU as a page that a person can send: Markdown."""

from __future__ import annotations

from typing import Any

SIGNS = {"ok": "ok", "failed": "FAILED", "left out": "left out"}


def markdown(report: dict[str, Any]) -> str:
    """The whole report: machine, verdicts, a table for each section."""
    machine, sections = report["machine"], report["sections"]
    lines = [f"# GPU check: {machine['device']}", ""]
    lines += [f"* {name}: {_words(value)}" for name, value in machine.items()]
    lines += [
        "",
        f"{report['seconds']:.0f} s in all.",
        "",
        "| section | verdict | seconds | |",
        "| --- | --- | ---: | --- |",
    ]
    lines += [f"| {s['name']} | {SIGNS[s['state']]} | {s['seconds']:.1f} | {_cell(s['said'])} |" for s in sections]
    for one in sections:
        lines += ["", f"## {one['name']}", "", one["said"], *_table(one["rows"])]
        if one["trace"]:
            lines += ["", "```", one["trace"].rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = ["", f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    return head + [f"| {' | '.join(_cell(row.get(name, '')) for name in names)} |" for row in rows]


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return " ".join(text.replace("|", "\\|").split())


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return "" if value is None else str(value)
