"""The reference pages of docs/, made from the parser, the configs and the schema: `make readme` writes them anew.

`tests/test_readme.py` compares: a page never says what the code does not.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import harness
from benchmarks.spec import Recipe
from methods.method_entry import MethodRecipe
from methods.registry import METHODS, config_class, entry
from results.launch.plan.readings import comments, headings
from results.store.record_schema import schema
from tests.croissant import croissant

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "shapes_tour.ipynb"
MADE = "<!-- made by `make readme`; do not edit -->"


def commands() -> str:
    """Every command with its options, group by group; a group that an earlier command has is not printed again."""
    lines = [
        "# Commands",
        MADE,
        "Written as `python harness.py COMMAND`, or `zss-harness COMMAND` where it is installed. `run` may be left out "
        "before options.",
    ]
    groups: dict[str, tuple[str, list[tuple[str, str]]]] = {}  # title -> the first command that has the group, its rows
    for name, parser, words in _parsers(harness._parser()):
        lines += [f"## {name}", _sentence(words), f"```\n{_usage(name, parser)}\n```"]
        for group in parser._action_groups:
            shown = (action for action in group._group_actions if action.help != argparse.SUPPRESS)
            actions = [action for action in shown if not isinstance(action, argparse._HelpAction)]
            if not actions or isinstance(actions[0], argparse._SubParsersAction):
                continue
            rows = [(_names(action), _help(action)) for action in actions]
            if group.title not in ("options", "positional arguments"):
                first, known = groups.setdefault(str(group.title), (name, rows))
                if first == name:
                    lines.append(f"*{group.title}*")
                else:
                    rows, words = _beside(known, rows)
                    title = str(group.title).partition(" (")[0].partition(":")[0]
                    lines.append(f"*{title}*: as for [{first}](#{first.replace(' ', '-')}){words}")
            if rows:
                lines.append(_table(("option", "meaning"), rows))
    return "\n\n".join(lines) + "\n"


def _beside(known: list[tuple[str, str]], rows: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """The rows of a group that the same group of an earlier command has not, and in words what it lacks of that."""
    other = [row for row in rows if row not in known]
    lacking = [option for option, _ in known if option not in dict(rows)]
    return other, (f", without {', '.join(lacking)}" if lacking else "") + (", but" if other else "")


def _parsers(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            words = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, inner in action.choices.items():
                full = f"{name} {word}".strip()
                if any(isinstance(deeper, argparse._SubParsersAction) for deeper in inner._actions):
                    yield from _parsers(inner, full)
                else:
                    yield full, inner, words.get(word, "")


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    needed = [a for a in parser._actions if a.required]
    return " ".join(["python harness.py", name, *(_names(a).replace("`", "") for a in needed), "..."])


def _names(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        given = action.metavar or (
            f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
        )
        value = " ".join(given) if isinstance(given, tuple) else str(given)
        value += " ..." if action.nargs in ("+", "*") else ""
    if not action.option_strings:
        return f"`{value}`"
    return f"`{' '.join([', '.join(action.option_strings), value]).strip()}`"


def _help(action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": "harness.py"}


def configs() -> str:
    """Every field of every method's config, with its default and whose choice it is; and the recipes."""
    lines = [
        "# Configs and recipes",
        MADE,
        "`--set METHOD.FIELD=VALUE` sets a field of a method, `--set recipe.FIELD=VALUE` one of the recipe. "
        "The notes say whose choice a default is: [R] released code, [P] the authors' text, [S] notes of a third "
        "party; *reading* and *ours* are choices of the harness.",
        "## The recipe",
        _table(("field", "default", "meaning"), list(_recipe_fields())),
    ]
    owner = {config: _owner(config) for config in map(config_class, METHODS)}
    recipes: dict[tuple[tuple[str, ...], ...], str] = {}  # rows -> the first method that has them
    for name in METHODS:
        config = config_class(name)
        lines.append(f"## {name}")
        lines.append(f"{_sentence(entry(name).title)} *{_sentence(entry(name).fidelity)}*")
        if entry(name).fixed:
            fixed = ", ".join(f"`{field}={json.dumps(value)}`" for field, value in entry(name).fixed.items())
            lines.append(f"Fixed, as what makes it this method: {fixed}.")
        if owner[config] != name:
            lines.append(f"Fields as those of {_link(owner[config])}.")
        elif rows := list(_config_fields(config)):
            lines.append(" ".join((inspect.getdoc(inspect.getmodule(config)) or "").split()))
            lines.append(_table(("field", "default", "meaning"), rows))
        else:
            lines.append("It has no fields.")
        if entry(name).recipes:
            rows = [(f"`{kind}`", recipe.name, _changes(recipe)) for kind, recipe in entry(name).recipes.items()]
            first = recipes.setdefault(tuple(rows), name)
            as_there = f"Recipes as those of {_link(first)}."
            lines.append(_table(("benchmarks", "recipe", "its fields"), rows) if first == name else as_there)
    return "\n\n".join(lines) + "\n"


def _owner(config: type) -> str:
    """The method under which a config's fields are listed: of those that have it, the first with the least fixed."""
    having = [name for name in METHODS if config_class(name) is config]
    return min(having, key=lambda name: len(entry(name).fixed))


def _link(method: str) -> str:
    return f"[{method}](#{method.replace('+', '')})"


def _recipe_fields() -> Iterator[tuple[str, str, str]]:
    found = schema()["$defs"]["Recipe"]
    for name in Recipe.model_fields:
        field = found["properties"][name]
        default = json.dumps(field["default"]) if "default" in field else "(of the method's recipe)"
        yield f"`{name}`", default if default.startswith("(") else f"`{default}`", field.get("description", "")


def _config_fields(config: type) -> Iterator[tuple[str, str, str]]:
    defaults, words, titles = config().model_dump(mode="json"), comments(config), headings(config)
    for name in config.model_fields:
        if name in titles:
            yield f"*{titles[name]}*", "", ""
        if name != "setting":
            yield f"`{name}`", f"`{json.dumps(defaults[name])}`", " ".join(words.get(name, ()))


def _changes(recipe: MethodRecipe) -> str:
    pairs = {**recipe.training, **recipe.config}
    return ", ".join(f"`{name}={json.dumps(value, default=str)}`" for name, value in pairs.items()) or "–"


def record() -> str:
    """Every field of a record, as its JSON Schema describes it."""
    whole = schema()
    lines = [
        "# Fields of the record",
        MADE,
        "One scoring of one run is `record.json` beside `confusion.npz`. Its JSON Schema is "
        "`results/store/record.schema.json`. `export` writes the fields of all records into one table.",
    ]
    for name, part in {"RunRecord": whole, **whole["$defs"]}.items():
        needed = set(part.get("required", ()))
        rows = [
            (f"`{field}`", _type(value), _default(value, field in needed), value.get("description", ""))
            for field, value in part["properties"].items()
        ]
        lines += [f"## {name}", _sentence(" ".join(part.get("description", "").split()))]
        lines.append(_table(("field", "type", "default", "meaning"), rows))
    return "\n\n".join(lines) + "\n"


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(map(_type, value["anyOf"])))
    if "const" in value or "enum" in value:
        return ", ".join(f"`{json.dumps(v)}`" for v in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        inner = value.get("prefixItems") or [value.get("items", {})]
        return f"array of {', '.join(dict.fromkeys(map(_type, inner)))}"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"object of {_type(value['additionalProperties'])}"
    return str(value.get("type", "any"))


def _default(value: dict[str, Any], needed: bool) -> str:
    return "(given)" if needed or "default" not in value else f"`{json.dumps(value['default'])}`"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return (
        " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
        if "`" not in text
        else " ".join(text.split()).replace("|", "\\|")
    )


def _sentence(words: str) -> str:
    words = words.strip()
    return words and words[0].upper() + words[1:] + ("" if words.endswith((".", "?")) else ".")


def tour() -> str:
    """The cells of the notebook, as a page."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    parts = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in texts]
    head, *rest = parts
    note = f"These are the cells of `docs/{NOTEBOOK.name}`, which runs in Jupyter."
    return "\n\n".join([head, MADE, note, *rest]) + "\n"


WRITTEN = {
    "benchmarks/shapes/croissant.json": croissant,
    "docs/tour.md": tour,
    "docs/commands.md": commands,
    "docs/configs.md": configs,
    "docs/record-fields.md": record,
}
