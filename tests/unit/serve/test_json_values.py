"""Requests as JSON values: what TensorFlow Serving's parser takes and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfd2l.serve.json_values import (
    RestError,
    decode_base64,
    encode_text,
    is_base64,
    is_integer,
    parse_object,
    refuse,
    shown,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"instances = [1]",
        b"{",
        b'{"a": 1} {"b": 2}',
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b"{'a': 1}",
        b'{"a": "a\nb"}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[1]",
        b"3",
        b"null",
        b'{"a":' + b"[" * 5000,
        b'{"a":' * 5000,
        b"\x00",
        b"\xff\xfe",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused_with_400(body: bytes) -> None:
    with pytest.raises(RestError) as caught:
        parse_object(body)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 200


def test_a_request_may_begin_with_a_byte_order_mark_and_have_any_numbers() -> None:
    body = b'\xef\xbb\xbf {"a": [NaN, Infinity, -Infinity, 1e308, 123456789012345678901]}'
    found = parse_object(body)["a"]
    assert str(found) == "[nan, inf, -inf, 1e+308, 123456789012345678901]"


def test_of_a_name_given_twice_the_first_counts() -> None:
    assert parse_object(b'{"a": 1, "b": 3, "a": 2}') == {"a": 1, "b": 3}


@given(st.binary())
def test_bytes_that_are_no_utf_8_arrive_as_they_were(text: bytes) -> None:
    # Without what JSON would want escaped.
    plain = bytes(byte for byte in text if byte >= 32 and byte not in b'"\\')
    assert encode_text(parse_object(b'{"a": "' + plain + b'"}')["a"]) == plain


def test_half_a_surrogate_pair_is_refused_and_a_whole_one_taken() -> None:
    assert encode_text(parse_object(b'{"a": "\\ud83d\\ude00"}')["a"]) == "\U0001f600".encode()
    with pytest.raises(RestError, match=r"surrogate pair in \"x\\ud83d\""):
        encode_text(parse_object(b'{"a": "x\\ud83d"}')["a"])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**64 - 1, True),
        (2**64, False),
        (-(2**63), True),
        (-(2**63) - 1, False),
        (True, False),
        (1.0, False),
    ],
)
def test_integers_of_64_bits_stay_integers(value: Any, kept: bool) -> None:
    assert is_integer(value) is kept


@pytest.mark.parametrize(
    ("value", "stands_for_bytes"),
    [
        ({"b64": "AA=="}, True),
        ({"b64": ""}, True),
        ({"b64": 1}, False),
        ({"b64": "AA==", "a": 1}, False),
        ({"a": "AA=="}, False),
        ({}, False),
        ("b64", False),
    ],
)
def test_only_b64_with_a_string_and_nothing_more_stands_for_bytes(
    value: Any, stands_for_bytes: bool
) -> None:
    assert is_base64(value) is stands_for_bytes


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        # The test vectors of RFC 4648, section 10.
        ("", b""),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYg==", b"foob"),
        ("Zg", b"f"),
        ("Zm8", b"fo"),
        (" Zm\n9v ", b"foo"),
        ("/+8=", b"\xff\xef"),
    ],
)
def test_base64_is_decoded_with_padding_or_without(text: str, decoded: bytes) -> None:
    assert decode_base64({"b64": text}) == decoded


@pytest.mark.parametrize("text", ["Z", "Zg=", "Zg===", "Z=g=", "_-8=", "Zm9vä", "Zm9vYg==Zg=="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(RestError, match="Unable to base64 decode"):
        decode_base64({"b64": text})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1] * 10**6, "a list of 1000000 elements"),
        ({"b": 1, "a": 2}, 'an object of 2 keys: "a", "b"'),
        ("ä\n", r'"\u00e4\n"'),
        (None, "null"),
        (float("nan"), "NaN"),
        (10**100, "1" + 39 * "0"),
    ],
)
def test_values_are_shown_in_a_few_words(value: Any, text: str) -> None:
    assert shown(value) == text


@given(st.recursive(st.text() | st.none() | st.floats(), lambda inner: st.lists(inner)))
@example("\U00010000" * 41)
def test_what_is_shown_is_short_and_can_be_sent(value: Any) -> None:
    assert len(shown(value)) < 300
    json.dumps(shown(value)).encode("ascii")


def test_an_error_has_a_status() -> None:
    with pytest.raises(RestError, match="no") as caught:
        refuse("no", 404)
    assert caught.value.status == 404
