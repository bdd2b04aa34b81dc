"""Parameters and results as JSON text, with errors that name the place of a wrong value."""

import json
import json.encoder
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gigq.errors import NotJson, TooLarge

MEBIBYTE = 1024 * 1024
DEFAULT_LIMIT = MEBIBYTE

MOST_LEVELS = 100
"""The largest depth of lists and dicts inside each other."""

_SHORTEST_TOO_DEEP = 2 * (MOST_LEVELS + 1)
_NESTS = (dict, list, tuple)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

_JSON_COLUMNS = frozenset({"params", "retry_policy", "dependencies", "result"})


def _writer() -> Callable[[Any], str]:
    """Return `JSONEncoder.encode`, with its fast inner encoder made once where Python has it.

    A value that contains itself raises RecursionError, and the search then finds it. NaN and
    infinities are written as Python's `json` reads them.
    """
    plain = json.JSONEncoder(ensure_ascii=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    as_text = json.encoder.encode_basestring
    chunks = make(None, plain.default, as_text, None, ": ", ", ", False, False, True)
    return lambda value: "".join(chunks(value, 0))


_write = _writer()

# The value to pass or return instead, by the name of a class or of a base class.
_REMEDIES: Mapping[str, str] = {
    "set": "a list",
    "frozenset": "a list",
    "generator": "a list",
    "dict_keys": "a list",
    "dict_values": "a list",
    "dict_items": "a list",
    "map": "a list",
    "datetime": "its isoformat() text",
    "date": "its isoformat() text",
    "time": "its isoformat() text",
    "timedelta": "its total_seconds()",
    "bytes": "its decoded text, base64 text or a file name",
    "bytearray": "its decoded text, base64 text or a file name",
    "Decimal": "it as text",
    "UUID": "it as text",
    "PurePath": "it as text",
    "Enum": "its value",
    "ndarray": "its tolist()",
    "generic": "its item()",
    "DataFrame": "the name of a file in which it is stored",
    "coroutine": "the awaited value: a job function must not be async",
}
_PLAIN_DATA = "plain data (dict, list, str, int, float, bool or None), or where it is stored"
_LONGEST_PLACE = 200


def encode(value: Any, what: str, limit_bytes: int = DEFAULT_LIMIT, *, verb: str = "pass") -> str:
    """Turn a value into JSON text.

    Tuples become lists and plain keys become text, as in the standard `json` module. NaN and
    infinities become `NaN`, `Infinity` and `-Infinity`.

    Args:
        value: the value to store.
        what: the label of its root in messages, for instance ``job 'resize': params``.
        limit_bytes: the largest allowed size of the text in UTF-8 bytes.
        verb: the word in messages for the use of the value: pass or return.

    Returns:
        The JSON text.

    Raises:
        NotJson: a value inside is not JSON, or is nested in more than `MOST_LEVELS` lists and
            dicts; the message names its place and a remedy.
        TooLarge: the text is larger than the limit; the message has both sizes.
    """
    text = _dump(value, what, verb)
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit_bytes:
        raise TooLarge(
            f"{what}: {size:,} bytes of JSON, over the limit of {limit_bytes:,} bytes; "
            f"store the data in a file or a table and {verb} where it is"
        )
    if is_too_deep(value, text):
        raise NotJson(_complaint(value, what, verb, "too deep"))
    return text


def checked_limit(limit_bytes: int) -> int:
    """Return a limit for `encode` unchanged.

    Raises:
        ValueError: it is below 1.
    """
    if limit_bytes < 1:
        raise ValueError(f"max_result_size is {limit_bytes}; give at least 1 byte")
    return limit_bytes


def decode(text: str | None) -> Any:
    """Decode JSON text; return None for no text."""
    return json.loads(text) if text else None


def is_too_deep(value: Any, text: str) -> bool:
    """Return True when a value, whose JSON text is given, has more than `MOST_LEVELS` levels."""
    if len(text) < _SHORTEST_TOO_DEEP:
        return False
    # Reading the brackets of the text takes a tenth of the time of walking through the value.
    brackets = text.encode().translate(None, _NO_BRACKETS)
    # Each round removes one level or two.
    for _ in range(MOST_LEVELS // 2):
        rest = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not rest:
            return False
        if len(rest) == len(brackets):
            break
        brackets = rest
    return _is_nested_too_deeply(value)


def refuse_keys_that_change(value: dict[str, Any], what: str) -> None:
    """Refuse a dict inside `value` with keys that JSON would turn into text.

    Args:
        value: a dict with text keys that `encode` has accepted.
        what: the label of its root in messages.

    Raises:
        NotJson: the message names the place, the key and a remedy.
    """
    level: list[Any] = [value]
    while level := [one for items in level for one in _items(items) if isinstance(one, _NESTS)]:
        if not all(map(_has_only_texts_as_keys, level)):
            place, key = next(_other_keys(value, what))
            raise NotJson(
                f"{place}: the key {short(key)} is {_kind(key)}, and JSON makes a text of it; "
                "pass text keys, or a list of pairs"
            )


def _items(nest: Any) -> Any:
    return nest.values() if isinstance(nest, dict) else nest


def _has_only_texts_as_keys(value: Any) -> bool:
    return not isinstance(value, dict) or all(isinstance(key, str) for key in value)


def _other_keys(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((_cut(place), key) for key in value if not isinstance(key, str))
        pairs: Any = value.items()
    else:
        pairs = enumerate(value)
    for key, item in pairs:
        if isinstance(item, _NESTS):
            yield from _other_keys(item, f"{place}[{short(key)}]")


def _is_nested_too_deeply(value: Any) -> bool:
    level = [value] if isinstance(value, _NESTS) else []
    for _ in range(MOST_LEVELS):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in inside for item in items if isinstance(item, _NESTS)]
    return bool(level)


def decode_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `jobs` or `job_executions` with its JSON columns and flags decoded.

    Text that is not JSON, or is nested too deeply, stays text: foreign SQL wrote it.
    """
    decoded = {name: _decoded(name, value) for name, value in row.items()}
    if decoded.get("pass_parent_results") is not None:
        decoded["pass_parent_results"] = bool(decoded["pass_parent_results"])
    return decoded


def _decoded(name: str, value: Any) -> Any:
    if name not in _JSON_COLUMNS or not isinstance(value, str):
        return value
    try:
        decoded = decode(value)
    except (ValueError, RecursionError):
        return value
    return value if is_too_deep(decoded, value) else decoded


def _dump(value: Any, what: str, verb: str) -> str:
    try:
        text = _write(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(_complaint(value, what, verb, error)) from None
    if text.isascii() or is_unicode(text):
        return text
    return json.dumps(value)


def is_unicode(text: str) -> bool:
    """Return True when a text can be encoded in UTF-8: it has no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complaint(value: Any, what: str, verb: str, error: object) -> str:
    try:
        found = next(_culprits(value, what, ()), None)
    except Exception:  # noqa: BLE001 - a user's object may raise anything when it is read
        found = None
    if found is None:
        return f"{what}: cannot be written as JSON ({error}); {verb} {_PLAIN_DATA}"
    place, problem, remedy = found
    return f"{place}: {problem}; {remedy.format(verb=verb)}"


Culprit = tuple[str, str, str]
"""The place, the problem, and the remedy with a field for the verb."""


def _culprits(value: Any, place: str, above: tuple[int, ...]) -> Iterator[Culprit]:
    """Yield every culprit inside a value, depth first."""
    if id(value) in above:
        yield place, "contains itself", "{verb} plain data without a cycle"
    elif len(above) >= MOST_LEVELS and isinstance(value, _NESTS):
        problem = f"is nested more than {MOST_LEVELS} levels deep"
        yield _cut(place), problem, "flatten it, or {verb} where it is stored"
    elif isinstance(value, dict):
        yield from _culprits_in_dict(value, place, (*above, id(value)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _culprits(item, f"{place}[{index}]", (*above, id(value)))
    else:
        yield from _culprit_leaf(value, place)


def _culprits_in_dict(
    value: dict[Any, Any], place: str, above: tuple[int, ...]
) -> Iterator[Culprit]:
    for key, item in value.items():
        if not isinstance(key, str | int | float | bool | None):
            problem = f"the key {short(key)} is {_kind(key)}, and JSON keys are text"
            yield place, problem, "{verb} it as text"
        yield from _culprits(item, f"{place}[{short(key)}]", above)


def _culprit_leaf(value: Any, place: str) -> Iterator[Culprit]:
    try:
        json.dumps(value)
    except TypeError:
        yield place, f"{_kind(value)} is not JSON", f"{{verb}} {_remedy(value)}"
    except ValueError:
        # Python refuses to print an integer of many thousand digits.
        yield place, f"{_kind(value)} has too many digits", "{verb} it as hexadecimal text"


def _remedy(value: Any) -> str:
    names = (kind.__name__ for kind in type(value).__mro__)
    return next((_REMEDIES[name] for name in names if name in _REMEDIES), _PLAIN_DATA)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _cut(place: str) -> str:
    return place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}..."


def short(value: Any) -> str:
    """Return the beginning of a value's representation, for messages."""
    try:
        text = repr(value[:41] if isinstance(value, str) else value)
    except Exception:  # noqa: BLE001 - also an integer of many thousand digits
        return _kind(value)
    return text if len(text) <= 40 else text[:37] + "..."
