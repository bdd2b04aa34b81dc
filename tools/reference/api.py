"""The pages about the library, from its docstrings and signatures."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import griffe

from reference.api_names import PAGES
from reference.markdown import anchor, code_block, page
from reference.source import found

if TYPE_CHECKING:
    from collections.abc import Iterator

_Kind = griffe.DocstringSectionKind
_LABELS = {
    _Kind.parameters: "Parameters",
    _Kind.attributes: "Attributes",
    _Kind.returns: "Returns",
    _Kind.raises: "Raises",
}
_NAME = re.compile(r"(?<![\[`])`([A-Za-z_][\w.]*)(\(\))?`(?!\])")
_WIDEST = 60


def text(name: str) -> str:
    """Return a page of the library's reference.

    Args:
        name: its file, one of `PAGES`.
    """
    about = PAGES[name]
    tops = [found(path) for path in about.objects]
    files = {_source(top) for top in tops}
    parts = [part for top in tops for part in _object(top, name, shows_source=len(files) > 1)]
    source = "" if len(files) > 1 else files.pop()
    return page(about.title, "the docstrings of gigq", about.intro, source, *parts)


def _source(top: griffe.Object) -> str:
    return f"Source: `{top.relative_package_filepath.as_posix()}`"


def _object(top: griffe.Object, here: str, *, shows_source: bool) -> Iterator[str]:
    yield from _described(top, top.name, 2, here)
    if shows_source:
        yield _source(top)
    for member in members(top):
        yield from _described(member, f"{top.name}.{member.name}", 3, here)


def members(top: griffe.Object) -> list[griffe.Object]:
    """Return the public methods and properties of a class, its own before those of its bases."""
    if not top.is_class:
        return []
    others = (each.target for each in top.inherited_members.values())
    # A base in the same module has a description of its own.
    inherited = {each.name: each for each in others if each.module is not top.module}
    known = {**top.members, **inherited}
    members = [each for name, each in known.items() if not name.startswith("_")]
    return [each for each in members if each.is_function or "property" in each.labels]


def constructor(thing: griffe.Object) -> griffe.Object | None:
    """Return the constructor that a class defines for its users, or None."""
    if not thing.is_class or "dataclass" in thing.labels:
        return None
    return thing.members.get("__init__")


def _described(thing: griffe.Object, title: str, level: int, here: str) -> Iterator[str]:
    if not thing.is_module:
        yield f"{'#' * level} `{title}`"
        yield _linked(_head(thing, title), here, title)
    for section in sections(thing):
        yield _linked(_section(section), here, title)


def _head(thing: griffe.Object, title: str) -> str:
    """Return what is above the description: a signature, or the bases of a class without one."""
    if thing.is_attribute:
        return ""
    if thing.is_function:
        return code_block(_signature(title, thing), "python")
    if made := constructor(thing):
        return code_block("class " + _signature(title, made, shows_result=False), "python")
    bases = ", ".join(f"`{base}`" for base in thing.bases if str(base) != "NamedTuple")
    return f"Base: {bases}." if bases else ""


def sections(thing: griffe.Object) -> list[griffe.DocstringSection]:
    """Return the parts of a docstring; to those of a class, add those of its constructor."""
    if not thing.docstring:
        raise ValueError(f"{thing.path} has no docstring")
    sections = list(thing.docstring.parsed)
    if (made := constructor(thing)) and made.docstring:
        sections += [each for each in made.docstring.parsed if each.kind is not _Kind.text]
    return sections


def _section(section: griffe.DocstringSection) -> str:
    if section.kind is _Kind.text:
        return str(section.value)
    items = [_item(section.kind, item) for item in section.value]
    if section.kind is _Kind.returns:
        return f"**{_LABELS[section.kind]}:** " + " ".join(items)
    return f"**{_LABELS[section.kind]}**\n\n" + "\n".join(f"- {item}" for item in items)


def _item(kind: griffe.DocstringSectionKind, item: griffe.DocstringElement) -> str:
    description = " ".join(item.description.split())
    if kind is _Kind.returns:
        return description
    name = str(item.annotation) if kind is _Kind.raises else item.name
    names = ", ".join(f"`{each}`" for each in name.strip("()").split(", "))
    return f"{names}: {description}"


def _signature(title: str, function: griffe.Function, *, shows_result: bool = True) -> str:
    """Return a signature, on several lines when it is long."""
    parameters = [_parameter(each) for each in _shown(function.parameters)]
    result = f" -> {function.returns}" if function.returns and shows_result else ""
    flat = f"{title}({', '.join(parameters)}){result}"
    if len(flat) <= _WIDEST:
        return flat
    return f"{title}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){result}"


def _shown(parameters: griffe.Parameters) -> Iterator[griffe.Parameter | str]:
    """Yield the parameters without `self`, with the marks `/` and `*` where they belong."""
    kinds = griffe.ParameterKind
    before = None
    for each in parameters:
        if before is kinds.positional_only and each.kind is not before and len(parameters) > 2:
            yield "/"
        if each.kind is kinds.keyword_only and before not in (
            kinds.keyword_only,
            kinds.var_positional,
        ):
            yield "*"
        before = each.kind
        # What is annotated with `Never` only exists for the message that refuses it.
        if each.name not in {"self", "cls"} and str(each.annotation) != "Never":
            yield each


def _parameter(parameter: griffe.Parameter | str) -> str:
    if isinstance(parameter, str):
        return parameter
    kinds = griffe.ParameterKind
    stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
    annotation = f": {parameter.annotation}" if parameter.annotation else ""
    default = "" if stars or parameter.default is None else f" = {_value(parameter.default)}"
    return f"{stars}{parameter.name}{annotation}{default}"


def _value(default: object) -> str:
    """Return a default as its value: that of a constant in the place of its name."""
    if isinstance(default, griffe.ExprName) and default.canonical_path.startswith("gigq."):
        constant = found(default.canonical_path)
        value = constant.value if constant.is_attribute else None
        # A number with a class of its own.
        if isinstance(value, griffe.ExprCall) and str(value.function).startswith("Unset"):
            return str(value.arguments[0])
        if isinstance(value, str):
            return value
    return str(default)


def _linked(text: str, here: str, title: str) -> str:
    """Make links of the names in backticks that these pages describe.

    Args:
        text: Markdown.
        here: the page that it is on.
        title: the object that it describes, whose other methods it may name without their class.
    """

    def link(match: re.Match[str]) -> str:
        name = match[1].removeprefix("gigq.")
        places = _places()
        place = places.get(name) or places.get(f"{title.partition('.')[0]}.{name}")
        return f"[{match[0]}]({place.removeprefix(here)})" if place else match[0]

    return _NAME.sub(link, text)


@cache
def _places() -> dict[str, str]:
    """Return the page and anchor of every name, but for the hooks: they are any application's."""
    places: dict[str, str] = {}
    for name, about in PAGES.items():
        for path in about.objects if name != "django.md" else ():
            top = found(path)
            titles = [top.name, *(f"{top.name}.{each.name}" for each in members(top))]
            places.update({title: f"{name}#{anchor(title)}" for title in titles})
    return places
