"""The report's section "How it was made": the command, the versions, and the config against its defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from launch.pages.theme import fact_items


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Origin of a run, as its report shows it."""

    command: str
    """Shell command that starts the same run; "" for a run that was started from Python."""
    folder: str
    versions: Mapping[str, str]
    """Commit of the code and versions of the packages, by name."""
    changed: Sequence[tuple[str, str, str]]
    """Key, default and value of each key of the config that differs from its default."""


def provenance_section(made: Provenance) -> str:
    command = f'<pre class="card command">{escape(made.command)}</pre>' if made.command else ""
    return (
        f"<section><header><h2>How it was made</h2><p>Its folder is {escape(made.folder)}.</p></header>"
        f'{command}<dl class="card facts">{fact_items(made.versions)}</dl>{_changed(made.changed)}</section>'
    )


def _changed(changed: Sequence[tuple[str, str, str]]) -> str:
    """Return the folded table of changed keys."""
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(default) or '–'}</td><td><b>{escape(value) or '–'}</b></td></tr>"
        for key, default, value in changed
    )
    return (
        '<details class="card changed">'
        f"<summary>Config: {len(changed)} keys differ from their defaults</summary>"
        '<div class="scroll"><table><thead><tr><th>Key</th><th>Default</th><th>Value</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )
