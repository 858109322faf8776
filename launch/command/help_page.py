"""`assay <verb> --help`: every config group and every key with its type, range, value and help sentence."""

from collections.abc import Mapping
from enum import Enum
from operator import attrgetter
from typing import Any

from conf.keys import Key, sections, walk
from launch.command.composing import Composer
from launch.command.mistakes import reason_unread


def help_page(composer: Composer, config: Any, unread: Mapping[str, str]) -> str:
    """Return the config groups and keys of a verb, without unread ones; the values are those of `config`."""
    return "\n".join([*_groups(composer), *_keys(composer.schema, config, unread)])


def _groups(composer: Composer) -> list[str]:
    if not composer.choices:
        return []
    lines = ["Config groups (group=option; * is taken when none is named)"]
    for group, options in composer.options(composer.choices).items():
        marked = [f"{option}*" if option == composer.choices[group] else option for option in options]
        lines.append(f"  {group:<12}{'  '.join(marked)}")
    return [*lines, ""]


def _keys(schema: type, config: Any, unread: Mapping[str, str]) -> list[str]:
    by_section: dict[str, list[Key]] = {}
    for key in (key for key in walk(schema) if not reason_unread(key.path, unread)):
        by_section.setdefault(key.path.rpartition(".")[0], []).append(key)
    titles = {"": "The run"} | {path: f"{path}: {text}" for path, text in sections(schema).items()}
    lines = []
    for section, keys in by_section.items():
        lines.append(titles[section])
        for key in keys:
            lines.append(f"  {key.path}={_shown(attrgetter(key.path)(config))}    {key.expected()}")
            lines.append(f"      {key.help}")
        lines.append("")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name
    return str(value).lower() if isinstance(value, bool) else str(value)
