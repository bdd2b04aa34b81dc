"""Each key of a TOML text is found on its line, however the text is written."""

from __future__ import annotations

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from gigqd.config.positions import positions

BARE = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
ANY = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8)
SCALARS = ["1", "-3.14", "true", "1979-05-27T07:32:00.5Z", "inf", "0x1f", "''", '""', '"a#b"']
TRAPS = [
    '"""\n[daemon]\nname = "x" # no\n"""', "'''\n[daemon]\nname = 1\n'''", '"""a\\"""b""""',
    '"\\" # [x]"', "'\\'", '"""\\\n  x = 1 """', "'''a'b''c'''", '""""quoted""""',
]  # fmt: skip


def spelled(name):
    """A key in one of the forms TOML has for it."""
    forms = [json.dumps(name, ensure_ascii=False)]
    if name and name.isascii() and name.replace("_", "").replace("-", "").isalnum():
        forms.append(name)
    if "'" not in name:
        forms.append(f"'{name}'")
    return st.sampled_from(forms)


@st.composite
def values(draw, depth=2):
    """The text of a value, and the keys inside it with the lines they stand on, from 0."""
    shape = draw(st.sampled_from(["scalar", "trap", "list", "table"] if depth else ["scalar"]))
    if shape == "scalar":
        return draw(st.sampled_from(SCALARS)), []
    if shape == "trap":
        return draw(st.sampled_from(TRAPS)), []
    if shape == "list":
        return draw(lists(depth - 1))
    return draw(inline_tables(depth - 1))


@st.composite
def lists(draw, depth):
    text, inside = "[", []
    for _ in range(draw(st.integers(0, 3))):
        text += draw(st.sampled_from(["", "\n  ", " # [a] = {\n", "\n\n"]))
        value, keys = draw(values(depth))
        inside += [(path, line + text.count("\n")) for path, line in keys]
        text += f"{value},"
    return text + draw(st.sampled_from(["]", "\n]", " # ]\n]"])), inside


@st.composite
def inline_tables(draw, depth):
    parts, inside, lines = [], [], 0
    for name in draw(st.lists(ANY, max_size=3, unique=True)):
        value, keys = draw(values(depth))
        inside.append(((name,), lines))
        inside += [((name, *path), lines + line) for path, line in keys]
        parts.append(f"{draw(spelled(name))} = {value}")
        lines += value.count("\n")
    return "{ " + ", ".join(parts) + " }", inside


@st.composite
def documents(draw):
    """A TOML text with the path and the line of each of its keys and tables."""
    text, expected = "", []
    tables = draw(
        st.lists(st.lists(ANY, min_size=1, max_size=2), max_size=4, unique_by=lambda t: t[0])
    )
    for table in [[], *tables]:
        if table:
            text += draw(st.sampled_from(["", "\n", "# [x]\n", "  "]))
            expected.append((tuple(table), text.count("\n") + 1))
            text += "[" + " . ".join(draw(spelled(name)) for name in table) + "] # [y]\n"
        # the letter keeps the keys of the root apart from the tables
        for name in draw(st.lists(BARE, max_size=4, unique=True)):
            keys = [f"k{name}", *draw(st.lists(ANY, max_size=2))]
            value, inside = draw(values())
            line = text.count("\n") + 1
            expected.append(((*table, *keys), line))
            expected += [((*table, *keys, *path), line + offset) for path, offset in inside]
            text += ".".join(draw(spelled(key)) for key in keys)
            text += f" = {value}{draw(st.sampled_from(['', '  # = 1']))}\n"
    return text, expected


def clashes(text):
    """Whether the tables of a random text get into each other's way."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if not any(word in str(error) for word in ("overwrite", "declare", "mutate", "Duplicate")):
            raise
        return True
    return False


@given(documents())
def test_every_key_of_any_text_is_found_on_its_line(document):
    text, expected = document

    assert clashes(text) or positions(text) == expected


@given(documents())
def test_windows_line_ends_change_nothing(document):
    text, _ = document

    assert positions(text.replace("\n", "\r\n")) == positions(text)


@given(st.text(alphabet="ab.=[]{}\"'#,\n\\ é", max_size=60))
def test_no_text_at_all_makes_it_raise(text):
    assert all(1 <= line <= text.count("\n") + 1 for _, line in positions(text))


def test_tables_in_lists_are_found_under_the_name_of_the_list():
    text = "[[pool]]\nsize = 1\n[[pool]]\nsize = 2\n"

    assert positions(text) == [
        (("pool",), 1), (("pool", "size"), 2), (("pool",), 3), (("pool", "size"), 4),
    ]  # fmt: skip
