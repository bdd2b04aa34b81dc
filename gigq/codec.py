"""Parameters and results as JSON text: what fits, what does not, and where it sits."""

import json
import json.encoder
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gigq.errors import NotJson, TooLarge

MEBIBYTE = 1024 * 1024
DEFAULT_LIMIT = MEBIBYTE

_JSON_COLUMNS = frozenset({"params", "dependencies", "result"})


def _writer() -> Callable[[Any], str]:
    """`JSONEncoder.encode` with its inner encoder made once, where Python has the fast one.

    What contains itself ends as too deep a recursion, and is then found by the search.
    """
    plain = json.JSONEncoder(allow_nan=False, ensure_ascii=False)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    as_text = json.encoder.encode_basestring
    chunks = make(None, plain.default, as_text, None, ": ", ", ", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_write = _writer()

# Beyond this depth the search for the culprit stops: json itself gives up soon after.
_SEARCH_DEPTH = 200

_REMEDIES: Mapping[str, str] = {
    "set": "make it a list",
    "frozenset": "make it a list",
    "generator": "make it a list",
    "dict_keys": "make it a list",
    "dict_values": "make it a list",
    "datetime": "pass its isoformat() text",
    "date": "pass its isoformat() text",
    "time": "pass its isoformat() text",
    "timedelta": "pass its total_seconds()",
    "bytes": "decode it, or pass base64 text or a file name",
    "bytearray": "decode it, or pass base64 text or a file name",
    "Decimal": "pass it as text",
    "UUID": "pass it as text",
    "PosixPath": "pass it as text",
    "ndarray": "pass its tolist()",
    "DataFrame": "store it and pass the file name",
    "coroutine": "a job function must not be async; return the awaited value",
}
_PLAIN_DATA = "pass plain data (dict, list, str, int, float, bool or None), or where it is stored"


def encode(value: Any, what: str, limit_bytes: int = DEFAULT_LIMIT) -> str:
    """Turn a value into JSON text.

    Tuples become lists and plain keys become text, as the standard `json` module does it.

    Args:
        value: the value to store.
        what: the label of its root in messages, for instance ``job 'resize': params``.
        limit_bytes: the largest allowed size of the text in UTF-8 bytes.

    Returns:
        The JSON text.

    Raises:
        NotJson: something inside is not JSON; the message names its place and a remedy.
        TooLarge: the text is larger than the limit; the message has both sizes.
    """
    text = _dump(value, what)
    size = len(text) if text.isascii() else len(text.encode())
    if size > limit_bytes:
        raise TooLarge(
            f"{what}: {size:,} bytes of JSON, over the limit of {limit_bytes:,} bytes; "
            "store the data in a file or a table and pass where it is"
        )
    return text


def decode(text: str | None) -> Any:
    """Read JSON text back; no text (nothing stored) is None."""
    return json.loads(text) if text else None


def decode_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `jobs` or `job_executions` with its JSON columns and flags as values.

    Text that is not JSON, which only foreign SQL can have written, stays text.
    """
    decoded = {name: _decoded(name, value) for name, value in row.items()}
    if decoded.get("pass_parent_results") is not None:
        decoded["pass_parent_results"] = bool(decoded["pass_parent_results"])
    return decoded


def _decoded(name: str, value: Any) -> Any:
    if name not in _JSON_COLUMNS or not isinstance(value, str):
        return value
    try:
        return decode(value)
    except ValueError:
        return value


def _dump(value: Any, what: str) -> str:
    try:
        text = _write(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(_complaint(value, what, error)) from None
    if text.isascii() or is_unicode(text):
        return text
    return json.dumps(value, allow_nan=False, ensure_ascii=True)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text; not so with half a surrogate pair (JSON can, escaped)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _complaint(value: Any, what: str, error: Exception) -> str:
    found = next(_culprits(value, what, ()), None)
    if found is None:
        return f"{what}: cannot be written as JSON ({error}); {_PLAIN_DATA}"
    place, problem = found
    return f"{place}: {problem}"


def _culprits(value: Any, place: str, above: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """Every (place, problem) under a value, depth first."""
    if id(value) in above:
        yield place, "contains itself; pass plain data without a cycle"
    elif len(above) >= _SEARCH_DEPTH:
        yield place, "is nested too deeply for JSON; flatten it"
    elif isinstance(value, dict):
        yield from _culprits_in_dict(value, place, (*above, id(value)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _culprits(item, f"{place}[{index}]", (*above, id(value)))
    else:
        yield from _culprit_leaf(value, place)


def _culprits_in_dict(
    value: dict[Any, Any], place: str, above: tuple[int, ...]
) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if not isinstance(key, str | int | float | bool | None):
            yield place, f"the key {_short(key)} is {_kind(key)}, and JSON keys are text"
        yield from _culprits(item, f"{place}[{_short(key)}]", above)


def _culprit_leaf(value: Any, place: str) -> Iterator[tuple[str, str]]:
    try:
        json.dumps(value, allow_nan=False)
    except TypeError:
        yield place, f"{_kind(value)} is not JSON; {_remedy(value)}"
    except ValueError:
        yield place, f"{_short(value)} is not JSON; pass None or text instead"


def _remedy(value: Any) -> str:
    return _REMEDIES.get(type(value).__name__, _PLAIN_DATA)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python refuses to print an integer of many thousand digits.
        return _kind(value)
    return text if len(text) <= 40 else text[:37] + "..."
