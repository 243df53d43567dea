"""Text, JSON and numbers from outside: what is read, and what is refused before it costs anything."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base.reading import UnreadableError, parse_integer, parse_json, parse_number, read_text
from allometry.base.units import BYTES, COUNT, SECONDS

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), parts, max_size=4)
    ),
    max_leaves=20,
)


@given(plain)
def test_whatever_is_written_is_read(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1e400}', "the field 'a' cannot be read, since the number 1e400 is beyond all bounds"),
        ('{"a": [[1, NaN]]}', "the field 'a' cannot be read, since 'NaN' is no number"),
        ("-Infinity", "'-Infinity' is no number"),
        (f'{{"a": {"9" * 5000}}}', "the field 'a' cannot be read, since an integer of 5000 digits"),
        ("[" * 100 + "]" * 100, "nested more than 64 levels deep"),
        ("[" * 100_000, "nested more than 64 levels deep"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested more than 64 levels deep"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the field 'c' is there twice"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"\\udc00": 1}', "half a character"),
        ("{", "it is not JSON: .* at line 1, column 2"),
        ("", "it is not JSON"),
    ],
)
def test_what_nobody_can_mean_is_refused(text, message):
    with pytest.raises(UnreadableError, match=message):
        parse_json(text)


def test_brackets_in_text_are_no_nesting():
    assert parse_json(json.dumps({"a": "[" * 500 + '\\"{'})) == {"a": "[" * 500 + '\\"{'}


def test_names_of_files_may_hold_half_characters():
    assert parse_json('["\\udcff"]', surrogates=True) == ["\udcff"]


def test_a_file_is_bounded_and_regular(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_text(path) == "[1]"
    with pytest.raises(OSError, match="more than 3 bytes"):
        read_text(path, most=3)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableError, match="not text in UTF-8"):
        read_text(path)
    os.mkfifo(tmp_path / "pipe")
    for wrong in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(OSError, match="no regular file"):
            read_text(wrong)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")


@pytest.mark.parametrize("text", ["inf", "nan", "1_000", "٣", "0x10", "1e", "", "--1", "1e999"])
def test_numbers_that_python_reads_and_people_do_not_write(text):
    with pytest.raises(UnreadableError):
        parse_number(text)


@pytest.mark.parametrize("text", ["1.0", "1_000", "٣", "", "9" * 65])
def test_integers_likewise(text):
    with pytest.raises(UnreadableError):
        parse_integer(text)


@pytest.mark.parametrize(
    ("unit", "text"), [(COUNT, "1e999999999M"), (BYTES, "9" * 5000), (SECONDS, "1e400ms")]
)
def test_quantities_are_bounded(unit, text):
    with pytest.raises(ValueError, match=r"beyond all bounds|not a quantity"):
        unit.parse(text)
