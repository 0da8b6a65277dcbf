"""What a form holds comes back as it was, byte by byte and in order."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.filepost import encode_multipart_formdata

from app.payloads.forms import read_form

pytestmark = pytest.mark.unit

# Contents that look like what stands between them.
contents = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"x", b"--x", b"--xy", b" ", b"\xff"])).map(
    b"".join
)


@given(st.lists(st.tuples(st.sampled_from(["image", "file", "größe"]), contents), min_size=1, max_size=5))
@example([("image", b""), ("file", b"\r\n"), ("image", b"\n--x")])
def test_parts_come_back(fields: list[tuple[str, bytes]]) -> None:
    boundary = "xyz"
    body, _ = encode_multipart_formdata([(name, ("a.jpg", content)) for name, content in fields], boundary)
    assert [(part.name, part.content) for part in read_form(body, boundary)] == fields
    assert [part.file() for part in read_form(body, boundary)] == [content for _, content in fields]
