"""Lists the keys of a config schema, for help pages, mistyped keys and tests."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

TYPE_NAMES = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
}
LISTS = {int: "a list of integers such as [0,1]", str: "a list of texts such as [one,two]"}
"""Lists of plain items, by the type of these."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """Leaf of a schema."""

    path: str
    """Dotted path, e.g. "algo.lr"."""
    kind: type
    """int, float, bool, str, list, dict (whose names are free) or an Enum."""
    item: type | None
    """Type of a list's items, plain or a dataclass; None for what is no list."""
    optional: bool
    """True if it may be null."""
    default: Any
    help: str
    limits: Mapping[str, float | None]
    """Bounds by name: ge, gt, le."""

    def expected(self) -> str:
        """Return the values that the key takes, in words."""
        if issubclass(self.kind, Enum):
            return "one of " + ", ".join(choice.name for choice in self.kind)
        signs = {"ge": "≥", "gt": ">", "le": "≤"}
        bounds = [f"{sign} {self.limits[name]}" for name, sign in signs.items() if self.limits[name] is not None]
        name = (_list_of(self.item) if self.item else TYPE_NAMES[self.kind]) + (" or null" if self.optional else "")
        return " ".join([name, " and ".join(bounds)]).strip()


def _list_of(item: type) -> str:
    if issubclass(item, Enum):
        return f"a list of any of {', '.join(choice.name for choice in item)}"
    if not is_dataclass(item):
        return LISTS[item]
    return f"a list of mappings such as [{{{', '.join(f'{field.name}: …' for field in fields(item))}}}]"


def as_typed(value: Any) -> str:
    """Return the value of a key as one types it.

    >>> as_typed(None), as_typed(True), as_typed(["rust", "crack"])
    ('null', 'true', '[rust,crack]')
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def walk(schema: type, prefix: str = "") -> Iterator[Key]:
    """Yield the leaves of a schema in the order of its fields."""
    hints = get_type_hints(schema)
    for item in fields(schema):
        kind, path = hints[item.name], f"{prefix}{item.name}"
        if isinstance(kind, type) and is_dataclass(kind):
            yield from walk(kind, f"{path}.")
        else:
            meta = dict(item.metadata)
            help_text = meta.pop("help")
            plain, optional = _plain_kind(kind)
            yield Key(
                path=path,
                kind=plain,
                item=get_args(kind)[0] if plain is list else None,
                optional=optional,
                default=_default(item),
                help=help_text,
                limits=meta,
            )


def sections(schema: type, prefix: str = "") -> dict[str, str]:
    """Return the help sentence of each nested config by its path."""
    hints = get_type_hints(schema)
    found: dict[str, str] = {}
    for item in fields(schema):
        if is_dataclass(hints[item.name]):
            path = f"{prefix}{item.name}"
            found |= {path: item.metadata["help"], **sections(hints[item.name], f"{path}.")}
    return found


def _plain_kind(hint: Any) -> tuple[type, bool]:
    """Return the type and True if None is allowed, for `float | None`, `list[…]`, `dict[…]` or a plain type."""
    if isinstance(hint, UnionType):
        (kind,) = (part for part in get_args(hint) if part is not NoneType)
        return kind, True
    return get_origin(hint) or hint, False


def _default(item: Field[Any]) -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()
