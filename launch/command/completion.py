"""`assay completion SHELL`: print the script for a shell, or the candidates for which the script asks."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from pathlib import Path

import yaml

import conf
from conf.keys import Key, walk
from launch.command.verb import Verb
from rewards.presets import PRESETS

CONF = Path(conf.__file__).parent
CANDIDATES = "--candidates"
"""Followed by the words after `assay`, of which the last is completed."""
CONFIG_DIR = ("--config-dir", "-cd")
SWEEP = "-m"
FLAGS = ["--help", SWEEP, "--cfg", "--config-dir"]
BASH = """_assay() {
    local line=${COMP_LINE:0:COMP_POINT} typed
    read -ra typed <<< "$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    mapfile -t COMPREPLY < <("$1" completion --candidates "${typed[@]:1}" 2>/dev/null)
    # A key waits for its value, and a section for its key.
    [[ ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
    # Bash takes what stands after the = for a word of its own.
    local current=${typed[-1]}
    [[ $COMP_WORDBREAKS == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*=}"}"}")
}
complete -o default -F _assay assay"""
ZSH = """_assay() {
    local -a found
    found=(${(f)"$($words[1] completion --candidates "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        # A key waits for its value, and a section for its key.
        compadd -S '' -- ${(M)found:#*[=.]}
        compadd -- ${found:#*[=.]}
    else
        compset -P '*='
        _files
    fi
}
compdef _assay assay"""
FISH = """function __assay_candidates
    set -l typed (commandline -opc) (commandline -ct)
    set -l found ($typed[1] completion --candidates $typed[2..-1] 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else if not string match -q '*=*' -- $typed[-1]
        __fish_complete_path $typed[-1]
    else
        set -l key (string replace -r '=.*' '=' -- $typed[-1])
        __fish_complete_path (string replace -r '^[^=]*=' '' -- $typed[-1]) | string replace -r '^' -- $key
    end
end
complete -c assay -f -a '(__assay_candidates)'"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
USAGE = """usage: source <(assay completion bash)       in ~/.bashrc
       source <(assay completion zsh)        in ~/.zshrc, after compinit
       assay completion fish | source        in ~/.config/fish/config.fish"""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Words that can be typed after `assay`."""

    names: Sequence[str]
    """First words, in the order in which they are listed."""
    verbs: Mapping[str, Verb]
    """Those of the names that take keys, each with the verb whose keys they are."""
    flags: Mapping[str, Sequence[str]]
    """Flags of the names that have others than a verb."""


def main(argv: Sequence[str], words: Words) -> int:
    """Print a script or candidates; return the exit code."""
    if argv and argv[0] == CANDIDATES:
        # No line at all where there is none: the shell then offers files.
        sys.stdout.writelines(f"{each}\n" for each in candidates(argv[1:], words))
        return 0
    if len(argv) == 1 and argv[0] in SCRIPTS:
        print(SCRIPTS[argv[0]])
        return 0
    asked_for = list(argv) in ([], ["--help"], ["-h"])
    print(USAGE, file=sys.stdout if asked_for else sys.stderr)
    return 0 if asked_for else 2


def candidates(typed: Sequence[str], words: Words) -> list[str]:
    """Return the words that can stand in place of the last one that is typed."""
    *before, current = typed or [""]
    if not before:
        return _begun(current, [*words.names, "--help", "--version"])
    name, *arguments = before
    if name == "completion":
        return _begun(current, SCRIPTS)
    if name not in words.verbs:
        return []
    if arguments and arguments[-1] in CONFIG_DIR:
        return []
    verb = words.verbs[name]
    if current.startswith("-"):
        flags = FLAGS if verb.is_swept else [flag for flag in FLAGS if flag != SWEEP]
        return _begun(current, words.flags.get(name, flags))
    if verb.unnamed and not current:
        # Paths, which need no key.
        return []
    hidden = [*verb.unread, *filter(None, [verb.unnamed])]
    keys = [key for key in walk(verb.schema) if key.kind is not dict and not _unread(key.path, hidden)]
    options = options_of(
        verb.name, [CONF, *(Path(folder) for flag, folder in pairwise(arguments) if flag in CONFIG_DIR)]
    )
    key, given, value = current.partition("=")
    if given:
        return [f"{key}={each}" for each in _begun(value, options.get(key) or _values(keys, key))]
    return _next_parts(current, [*(f"{name}=" for name in options), *(f"{each.path}=" for each in keys)])


def options_of(verb: str, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Return the options of each config group of a verb; those in subfolders as they are typed, folder/option."""
    defaults = yaml.safe_load((CONF / f"{verb}.yaml").read_text(encoding="utf-8"))["defaults"]
    named = [name for entry in defaults if isinstance(entry, dict) for name in entry]
    groups = [name for name in named if not name.startswith("override ")]
    return {group: _options(group, folders) for group in groups}


def _options(group: str, folders: Sequence[Path]) -> list[str]:
    files = {
        file.relative_to(folder / group).with_suffix("").as_posix()
        for folder in folders
        for file in (folder / group).rglob("*.yaml")
    }
    return sorted(files | set(PRESETS if group == "reward" else ()))


def _values(keys: Sequence[Key], path: str) -> list[str]:
    """Return the values of a key that can be listed."""
    kind = next((key.kind for key in keys if key.path == path), str)
    if issubclass(kind, Enum):
        return [choice.name for choice in kind]
    return ["true", "false"] if kind is bool else []


def _next_parts(current: str, names: Iterable[str]) -> list[str]:
    """Return the beginnings of the names up to the dot that comes next.

    >>> _next_parts("al", ["seed=", "algo=", "algo.lr=", "algo.kto.weight="])
    ['algo=', 'algo.']
    >>> _next_parts("algo.", ["seed=", "algo=", "algo.lr=", "algo.kto.weight="])
    ['algo.lr=', 'algo.kto.']
    """
    begun = [name.removeprefix(current).partition(".") for name in _begun(current, names)]
    return list(dict.fromkeys(f"{current}{part}{dot}" for part, dot, _ in begun))


def _begun(current: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(current)]


def _unread(path: str, unread: Iterable[str]) -> bool:
    """Return True if the verb ignores the key, itself or as part of a section."""
    return any(f"{path}.".startswith(f"{name}.") for name in unread)
