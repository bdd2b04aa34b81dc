"""The reference is generated, up to date, and complete: every public name with all its parts."""

from __future__ import annotations

import griffe
import pytest
from reference import api, api_names, pages, source
from support.tree import ROOT

import gigq

pytestmark = pytest.mark.docs

KINDS = griffe.DocstringSectionKind
TEXTS = pages.texts()
OBJECTS = [source.found(path) for about in api_names.PAGES.values() for path in about.objects]
MEMBERS = [(top, each) for top in OBJECTS if top.is_class for each in api.members(top)]
CLASSES = [each for each in OBJECTS if each.is_class]
CALLED = [each for each in OBJECTS if each.is_function or each.is_class]
CALLED += [each for _, each in MEMBERS if each.is_function]


def section(thing, kind):
    """The items of one part of a docstring."""
    return [item for part in api.sections(thing) if part.kind is kind for item in part.value]


@pytest.mark.parametrize("name", TEXTS)
def test_a_generated_page_is_up_to_date(name):
    assert (ROOT / name).read_text(encoding="utf-8") == TEXTS[name], "run `make reference`"


def test_every_public_name_is_described():
    described = {each.name for each in OBJECTS}

    assert sorted(set(gigq.__all__) - described) == []


@pytest.mark.parametrize("module", ["gigq.errors", "gigq.events", "gigq.contrib.django"])
def test_every_public_name_of_a_module_is_described(module):
    own = [each for each in source.found(module).members.values() if not each.is_alias]
    public = [each for each in own if each.is_public and (each.is_class or each.is_function)]

    assert public
    assert [each.path for each in public if each not in OBJECTS] == []


@pytest.mark.parametrize("thing", CALLED, ids=lambda thing: thing.path)
def test_every_parameter_is_described_and_no_other(thing):
    function = api.constructor(thing) if thing.is_class else thing
    parameters = function.parameters if function else []
    taken = [each.name for each in parameters if str(each.annotation) != "Never"]

    named = [item.name.lstrip("*") for item in section(thing, KINDS.parameters)]
    assert named == [name for name in taken if name not in {"self", "cls"}]


@pytest.mark.parametrize("thing", CLASSES, ids=lambda thing: thing.path)
def test_every_attribute_is_described(thing):
    named = section(thing, KINDS.attributes) + section(thing, KINDS.parameters)
    own = [each for each in thing.members.values() if not each.is_alias and each.is_attribute]
    shown = [each for each in own if "property" not in each.labels]
    public = [each.name for each in shown if not each.name.startswith("_")]

    assert sorted(set(public) - {item.name for item in named}) == []


@pytest.mark.parametrize(
    "thing", [each for each in CALLED if each.is_function], ids=lambda t: t.path
)
def test_what_a_function_returns_is_described(thing):
    returns = str(thing.returns) not in {"None", ""} and not thing.is_class

    assert bool(section(thing, KINDS.returns)) == returns
