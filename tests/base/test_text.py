"""Names from outside are shown as they are, whatever a terminal or a library would make of them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allometry.base.text import printable, write_line


@given(st.text())
def test_what_is_shown_obeys_nothing_and_can_be_written(text):
    shown = printable(text)
    assert not [sign for sign in shown if sign not in "\n\t" and (ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0)]
    assert not set(shown) & set("\u202e\u2066\u200f\ufeff")
    shown.encode()
    assert printable(shown) == shown


def test_ordinary_text_stays():
    for text in ("café ✓ 日本", "[bold]b[/bold] :dog:", "a\tb\nc"):
        assert printable(text) == text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_line_goes_to_a_stream_of_any_encoding(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    write_line("✓ caf\udce9 \x1b[31m", stream=stream)
    assert raw.getvalue().decode(encoding).endswith(" caf\\xe9 \\x1b[31m\n")
