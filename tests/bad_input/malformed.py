"""Bodies that are no JSON object, whatever the route."""

from collections.abc import Iterator

from service.http.bodies import SEPARATORS_MAX
from tests.bad_input.rows import GOOD, Row

NO_JSON = "invalid JSON in the request body: "
CUT = NO_JSON + "Input data was truncated"
NOT_UTF8 = NO_JSON + "it is not UTF-8"
TOO_DEEP = NO_JSON + "it is nested too deeply"
NO_OBJECT = "the request body must be a JSON object"
TOO_MUCH = f"the request body may hold at most {SEPARATORS_MAX} commas and opening brackets"


def _character(at: int) -> str:
    return f"{NO_JSON}invalid character (byte {at})"


MALFORMED: list[tuple[str, bytes, str]] = [
    ("only a brace", b"{", CUT),
    ("cut in a name", b'{"mod', CUT),
    ("cut before a value", b'{"model":', CUT),
    ("cut before its end", b'{"model":"demo"', CUT),
    ("a comma too many", b'{"model":"demo",}', NO_JSON + "trailing comma in object (byte 16)"),
    ("a word", b"nope", _character(4)),
    ("single quotes", b"{'model':'demo'}", NO_JSON + "object keys must be strings (byte 1)"),
    ("names without quotes", b'{model:"demo"}', NO_JSON + "object keys must be strings (byte 1)"),
    ("a number as a name", b'{5:"demo"}', NO_JSON + "object keys must be strings (byte 1)"),
    ("a word behind it", b'{"model":"demo"}x', NO_JSON + "trailing characters (byte 17)"),
    ("two objects", b'{"model":"demo"}{}', NO_JSON + "trailing characters (byte 17)"),
    ("a comment", b"/* please */{}", _character(0)),
    ("a form", b"model=demo&prompt=hi", _character(0)),
    ("parts of a form", b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ndemo\r\n--x--', _character(1)),
    ("XML", b"<model>demo</model>", _character(0)),
    ("compressed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00", _character(0)),
    ("NUL", b"\x00", _character(0)),
    ("NUL behind a value", b'{"model":"demo"\x00}', NO_JSON + "expected ',' or '}' (byte 15)"),
    ("NUL in a text", b'{"model":"de\x00mo"}', _character(12)),
    ("a line break in a text", b'{"model":"de\nmo"}', _character(12)),
    ("a byte order mark", b"\xef\xbb\xbf{}", _character(0)),
    ("UTF-16", '{"model":"demo"}'.encode("utf-16-le"), NO_JSON + "object keys must be strings (byte 1)"),
    ("a byte that is no UTF-8", b'{"model":"\xff"}', NOT_UTF8),
    ("an overlong slash", b'{"model":"\xc0\xaf"}', NOT_UTF8),
    ("a surrogate as bytes", b'{"model":"\xed\xa0\x80"}', NOT_UTF8),
    ("half a surrogate pair", b'{"model":"\\ud800 "}', CUT),
    (
        "a surrogate pair the wrong way round",
        b'{"model":"\\udc00\\ud800"}',
        NO_JSON + "invalid utf-16 surrogate pair (byte 16)",
    ),
    ("an unknown escape", b'{"model":"\\x41"}', NO_JSON + "invalid escape character in string (byte 12)"),
    ("NaN", b'{"options":{"seed":NaN}}', _character(19)),
    ("Infinity", b'{"options":{"seed":Infinity}}', _character(19)),
    ("minus Infinity", b'{"options":{"seed":-Infinity}}', _character(20)),
    ("a float beyond floats", b'{"seed":1e400}', NO_JSON + "Number out of range - at `$[...]`"),
    (
        "an integer of 5000 digits",
        b'{"seed":' + b"9" * 5000 + b"}",
        NO_JSON + "Integer value out of range - at `$[...]`",
    ),
    ("a leading zero", b'{"seed":01}', NO_JSON + "invalid number (byte 9)"),
    ("a plus sign", b'{"seed":+1}', _character(8)),
    ("hexadecimal", b'{"seed":0x1}', NO_JSON + "expected ',' or '}' (byte 9)"),
    ("100,000 objects in each other", b'{"a":' * 100_000, TOO_DEEP),
    ("5,000 arrays in each other", b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", TOO_DEEP),
    ("an empty array", b"[]", NO_OBJECT),
    ("an array with an object", b"[{}]", NO_OBJECT),
    ("a number", b"5", NO_OBJECT),
    ("true", b"true", NO_OBJECT),
    ("a text", b'"model"', NO_OBJECT),
    ("millions of values", b'{"a":[' + b"0," * SEPARATORS_MAX + b"0]}", TOO_MUCH),
    ("millions of objects", b'{"a":[' + b"{}," * (SEPARATORS_MAX // 2) + b"0]}", TOO_MUCH),
]


def rows() -> Iterator[Row]:
    """Each of them on each route that takes a body; the empty ones have other words in ``/v1``."""
    for path in GOOD:
        missing = "EOF" if path.startswith("/v1/") else "missing request body"
        yield Row("nothing", path, b"", 400, missing)
        yield Row("only white space", path, b" \r\n\t", 400, missing)
        yield from (Row(about, path, body, 400, message) for about, body, message in MALFORMED)
