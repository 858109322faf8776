"""Bounded readers of the JSON, JSON lines and YAML that users write: a value, or a sentence with file and line.

JSON is refused if it holds a key twice in one object, NaN or another number that is not finite, a surrogate without its
other half, or too many levels; YAML also if it names parts (&) and repeats them (*), with which a few lines can stand
for billions of values, or tags them (!).
"""

import io
import json
import re
from collections.abc import Callable, Iterator
from math import isinf
from pathlib import Path
from typing import IO, Any

import yaml

from rl.faults import UserError, brief
from rl.files import open_regular

MOST_JSON_BYTES, MOST_YAML_BYTES = 2**25, 2**20
"""Largest files that are read whole; PyYAML reads about 100 KB a second."""
MOST_LINE = 2**22
"""Longest line of JSON lines."""
MOST_LEVELS = 64
"""Deepest nesting."""
MOST_SCALAR = 400
"""Longest number or date of YAML; the time to read one grows with the square of its length."""
TOKEN = re.compile(
    r'(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+"?)(?P<key>\s*:)?'
    r"|(?P<opening>[\[{])|(?P<closing>[\]}])"
    r"|(?P<constant>-?(?:NaN|Infinity))"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)",
    re.DOTALL,
)
"""What matters in JSON that parses; an unfinished text reaches to the end, so that the search takes linear time."""
SURROGATE = re.compile("[\ud800-\udfff]")
"""A byte that is no UTF-8, as "surrogateescape" reads it, or half of a letter."""
TEXT_TAG = "tag:yaml.org,2002:str"


class _Unread(Exception):
    """The line and the fault of a text that is not read."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(line, fault)
        self.line = line
        self.fault = fault


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid and not read."""


def read_json(path: Path) -> Any:
    """Return the value in a JSON file."""
    return _whole(path, MOST_JSON_BYTES, _json)


def read_yaml(path: Path) -> Any:
    """Return the value in a YAML file."""
    return _whole(path, MOST_YAML_BYTES, _yaml)


def read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where each line that is not blank stands, which opens sentences about it, and its value."""
    try:
        # Lines end at \n alone: other readers would also cut at Unicode's line separators inside a text.
        with io.TextIOWrapper(open_regular(path), "utf-8", errors="surrogateescape", newline="\n") as file:
            for number, line in enumerate(cut_lines(file), start=1):
                if line.strip():
                    where = f"{path}: line {number}"
                    yield where, json_of(line, where)
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror}); mend the path or the file") from error


def json_of(line: str, where: str) -> Any:
    """Return the value in one line of JSON; `where` opens the sentence that refuses it."""
    try:
        if len(line) > MOST_LINE:
            raise _Unread(1, f"is longer than {MOST_LINE >> 20} MiB; shorten it")
        return _json(line)
    except _Unread as unread:
        raise UserError(f"{where} {unread.fault}") from unread.__cause__


def cut_lines(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a file; of one that is too long only the beginning, which `json_of` refuses."""
    while line := file.readline(MOST_LINE + 1):
        yield line
        while len(line) > MOST_LINE and not line.endswith("\n"):
            line = file.readline(MOST_LINE + 1)


def _whole(path: Path, most: int, parse: Callable[[str], Any]) -> Any:
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror}); mend the path or the file") from error
    if len(data) > most:
        raise UserError(f"{path}: the file is larger than {most >> 20} MiB; split or shorten it")
    try:
        return parse(data.decode(errors="surrogateescape"))
    except _Unread as unread:
        raise UserError(f"{path}: line {unread.line} {unread.fault}") from unread.__cause__


def _json(text: str) -> Any:
    _check_letters(text)
    value, failure = None, None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise _Unread(error.lineno, f"is not JSON ({error.msg}); mend it") from error
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of levels; all before it parses.
        failure = error
    found = _fault_in(text) or (failure and (0, f"does not parse ({brief(failure)}); mend it"))
    if found:
        raise _Unread(_line(text, found[0]), found[1]) from failure
    return value


def _check_letters(text: str) -> None:
    found = None if text.isascii() else SURROGATE.search(text)
    if found:
        byte = ord(found[0]) & 0xFF
        raise _Unread(_line(text, found.start()), f"is not UTF-8 (byte 0x{byte:02x}); save it as UTF-8")


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _fault_in(text: str) -> tuple[int, str] | None:
    """Return the place and the kind of the first fault in a text that parses, at least up to that fault."""
    keys: list[set[str]] = []
    for token in TOKEN.finditer(text):
        fault = _fault_of(token, keys)
        if fault:
            return token.start(), fault
    return None


def _fault_of(token: re.Match[str], keys: list[set[str]]) -> str:
    """Return what is wrong with a token, "" for nothing; `keys` are those of the objects around it so far."""
    kind = token.lastgroup
    if kind == "opening":
        keys.append(set())
        return f"nests more than {MOST_LEVELS} levels; make it flatter" if len(keys) > MOST_LEVELS else ""
    if kind == "closing":
        del keys[-1:]
        return ""
    if kind == "constant":
        return f"holds {token[0]}, which is no number in JSON; write null or leave it out"
    if kind == "number":
        return "holds a number that is too large; write a smaller one" if isinf(float(token[0])) else ""
    return _fault_of_text(token, keys)


def _fault_of_text(token: re.Match[str], keys: list[set[str]]) -> str:
    text = token["text"]
    text = json.loads(text) if "\\" in text else text[1:-1]
    if not text.isascii() and SURROGATE.search(text):
        return "holds a lone surrogate, which is no letter; remove it"
    if not token["key"]:
        return ""
    if text in keys[-1]:
        return f"has the key '{brief(text)}' a second time in one object; leave one"
    keys[-1].add(text)
    return ""


def _yaml(text: str) -> Any:
    _check_letters(text)
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        raise _Unread(_line(text, error.position), f"is not YAML ({brief(error.reason)}); mend it") from error
    try:
        return loader.get_single_data()
    except (ValueError, OverflowError) as error:
        # The code of a letter that Unicode does not have.
        raise _Unread(loader.line + 1, f"is not YAML ({brief(error)}); mend it") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fault = error.problem if isinstance(error, _Refused) else f"is not YAML ({brief(error.problem)}); mend it"
        raise _Unread(mark.line + 1, fault) from error


class _Loader(yaml.SafeLoader):
    """Reads plain values, each of which stands in the text as often as in the result."""

    num_levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if event.anchor is not None:
            raise _refused("names a part with & or repeats one with *; write it out", event.start_mark)
        if event.tag is not None:
            raise _refused(f"has the tag {brief(event.tag)}; leave it out", event.start_mark)
        if self.num_levels >= MOST_LEVELS:
            raise _refused(f"nests more than {MOST_LEVELS} levels; make it flatter", event.start_mark)
        self.num_levels += 1
        node = super().compose_node(parent, index)
        self.num_levels -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag != TEXT_TAG and len(node.value) > MOST_SCALAR:
            raise _refused("holds a number that is too long; shorten it, or put a text in quotes", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            # Such as the 30th of February, which looks like a date.
            raise _refused(f"does not parse ({brief(error)}); put a text in quotes", node.start_mark) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep)
        names: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in names:
                raise _refused(f"has the key '{brief(name)}' a second time in one mapping; leave one", key.start_mark)
            names.add(name)
        return mapping


def _refused(problem: str, mark: Any) -> _Refused:
    return _Refused(problem=problem, problem_mark=mark)
