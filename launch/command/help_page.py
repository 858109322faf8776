"""`assay <verb> --help`: every config group and every key with its type, range, value and help sentence."""

from operator import attrgetter
from typing import Any

from conf.keys import Key, as_typed, sections, walk
from launch.command.composing import Composer
from launch.command.mistakes import reason_unread
from launch.command.verb import Verb

OURS = "(ours)"
"""Mark of a choice in a help sentence; `assay pairs` and `assay train` have some."""


def head(verb: Verb) -> str:
    """Return what a verb does, how it is typed, its flags and examples."""
    values = f"{verb.unnamed.upper()} … " if verb.unnamed else ""
    usage = f"usage: assay {verb.name} {values}[key=value …] [-m] [--cfg job] [--config-dir FOLDER]"
    required = [f"Required: {' and '.join(verb.required.values())}"] if verb.required else []
    flags = (
        "  -m                   run every combination of comma-separated values\n"
        "  --cfg job            print the composed config instead of running\n"
        "  --config-dir FOLDER  a folder with groups of your own, e.g. FOLDER/experiment/mine.yaml"
    )
    examples = "\n".join(["Examples", *(f"  {line}" for line in verb.examples)])
    return "\n\n".join([verb.summary, usage, *required, flags, examples, ""])


def help_page(composer: Composer, config: Any, verb: Verb) -> str:
    """Return the config groups and keys of a verb, without unread ones; the values are those of `config`."""
    keys = _keys(composer.schema, config, verb)
    marks = any(OURS in line for line in keys)
    note = [f"{OURS} marks what the paper leaves open and Assay decides.", ""] if marks else []
    return "\n".join([*_groups(composer), *note, *keys])


def _groups(composer: Composer) -> list[str]:
    if not composer.choices:
        return []
    lines = ["Config groups (group=option; * is taken when none is named)"]
    for group, options in composer.options(composer.choices).items():
        marked = [f"{option}*" if option == composer.choices[group] else option for option in options]
        lines.append(f"  {group:<12}{'  '.join(marked)}")
    return [*lines, ""]


def _keys(schema: type, config: Any, verb: Verb) -> list[str]:
    by_section: dict[str, list[Key]] = {}
    for key in (key for key in walk(schema) if not reason_unread(key.path, verb.unread)):
        by_section.setdefault(key.path.rpartition(".")[0], []).append(key)
    titles = {"": "The run"} | {path: f"{path}: {text}" for path, text in sections(schema).items()}
    lines = []
    for section, keys in by_section.items():
        lines.append(titles[section])
        for key in keys:
            needed = ", required" if key.path in verb.required else ""
            lines.append(f"  {key.path}={as_typed(attrgetter(key.path)(config))}    {key.expected()}{needed}")
            lines.append(f"      {key.help}")
        lines.append("")
    return lines
