"""Any bytes: fields, or a refusal with its reason; and nothing is lost on the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmqcache.peers.json_fields import (
    MAX_BODY_BYTES,
    MAX_FIELDS,
    BodyRefused,
    Refusal,
    check_types,
    integer_of,
    read_fields,
    text_of,
    write_fields,
)

REFUSED = {
    b"": Refusal.EMPTY_BODY,
    b" " * (MAX_BODY_BYTES + 1): Refusal.BODY_TOO_LONG,
    b"sip:127.0.0.1:5060;status=active\r\n": Refusal.MALFORMED_JSON,
    b'{"a":1': Refusal.MALFORMED_JSON,
    b'{"a":"\x01"}': Refusal.MALFORMED_JSON,
    b'{"a":"\\ud800"}': Refusal.MALFORMED_JSON,
    b'{"\\udbff":1}': Refusal.MALFORMED_JSON,
    b"[" * 60_000: Refusal.NESTED_TOO_DEEP,
    b'{"a":{"b":{"c":1}}}': Refusal.NESTED_TOO_DEEP,
    b"[1]": Refusal.NOT_AN_OBJECT,
    b'"text"': Refusal.NOT_AN_OBJECT,
    b'{"a":1,"a":2}': Refusal.DUPLICATE_KEY,
    b'{"a":{"b":1,"b":"1"}}': Refusal.DUPLICATE_KEY,
    b'{"a":[1]}': Refusal.WRONG_TYPE,
    b'{"a":null}': Refusal.WRONG_TYPE,
    b'{"a":true}': Refusal.WRONG_TYPE,
    b'{"a":1.5}': Refusal.WRONG_TYPE,
    b'{"a":NaN}': Refusal.WRONG_TYPE,
    b'{"a":{"b":null}}': Refusal.WRONG_TYPE,
    b'{"a":9223372036854775808}': Refusal.INTEGER_OUT_OF_RANGE,
    b'{"a":' + b"9" * 10_000 + b"}": Refusal.INTEGER_OUT_OF_RANGE,
}


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:24]))
def test_what_cannot_be_used_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(BodyRefused) as refused:
        read_fields(body)
    assert refused.value.reason is REFUSED[body]


def test_an_object_has_a_bounded_number_of_fields() -> None:
    names = [f'"f{number}":0' for number in range(MAX_FIELDS + 1)]
    assert len(read_fields(("{" + ",".join(names[1:]) + "}").encode())) == MAX_FIELDS
    with pytest.raises(BodyRefused, match="too_many_fields"):
        read_fields(("{" + ",".join(names) + "}").encode())


@pytest.mark.parametrize("other", ["", ',"b":"\u00fc"', ',"b":{"c":1}'])
def test_numbers_of_every_length_are_read_alike(other: str) -> None:
    for number in (-(2**63), -(10**17), 0, 10**18, 2**63 - 1):
        assert read_fields(f'{{"a":{number}{other}}}'.encode())["a"] == number


def test_a_key_may_be_there_twice_if_it_says_the_same() -> None:
    assert read_fields(b'{"tag1":"a","state":2,"tag1":"a"}') == {"tag1": "a", "state": 2}


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_fields(body)
    except BodyRefused as refused:
        assert refused.reason in Refusal


_BYTES = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
_SCALARS = _BYTES | st.integers(-(2**63), 2**63 - 1)


@given(st.dictionaries(_BYTES, _SCALARS | st.dictionaries(_BYTES, _SCALARS, max_size=4), max_size=8))
def test_what_is_written_is_read_back_whole(fields: dict[str, str | int | dict[str, str | int]]) -> None:
    assert read_fields(write_fields(fields)) == fields


def test_bytes_above_127_stand_raw_as_kamailio_writes_them() -> None:
    body = b'{"from_uri":"sip:m\xfcller@example.com","name":"\xc3\xa9"}'
    fields = read_fields(body)
    assert fields == {"from_uri": "sip:m\udcfcller@example.com", "name": "é"}
    assert write_fields(fields) == body


def test_a_field_that_must_be_there_is_there_and_of_its_type() -> None:
    fields = {"text": "a", "number": 7}
    assert (text_of(fields, "text"), integer_of(fields, "number", 0, 7)) == ("a", 7)
    check_types(fields, {"text": str, "number": int, "other": dict})
    for name, reason in {"missing": "missing_field", "number": "wrong_type"}.items():
        with pytest.raises(BodyRefused, match=reason):
            text_of(fields, name)
    for most, name, reason in ((6, "number", "out_of_range"), (6, "text", "wrong_type")):
        with pytest.raises(BodyRefused, match=reason):
            integer_of(fields, name, 0, most)
    with pytest.raises(BodyRefused, match="wrong_type: text"):
        check_types(fields, {"text": int})
