"""POST /predict as parse, call, render: every way to post, and every way to get it wrong that needs no socket."""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from werkzeug.test import EnvironBuilder

pytestmark = pytest.mark.http

PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def b64(data: bytes = PHOTO) -> str:
    return base64.b64encode(data).decode()


def form(*files: tuple[str, bytes]) -> dict[str, Any]:
    data: dict[str, list[Any]] = {}
    for name, content in files:
        data.setdefault(name, []).append((io.BytesIO(content), "photo.jpg"))
    return {"data": data, "content_type": "multipart/form-data"}


def multipart(*parts: tuple[str, bytes], line: bytes = b"\r\n") -> dict[str, Any]:
    """A form as written: of each part its headers, in Latin-1, and its content."""
    lines = [piece for head, content in parts for piece in (b"--x", *head.encode("latin-1").split(b"\n"), b"", content)]
    return {"data": line.join([*lines, b"--x--", b""]), "content_type": "multipart/form-data; boundary=x"}


def part(more: str = "", *headers: str, name: str = "image") -> str:
    """The headers of a part."""
    return "\n".join((f'Content-Disposition: form-data; name="{name}"{more}', *headers))


def mixed(*contents: bytes, boundary: str = "y") -> tuple[str, bytes]:
    """A part of several files, as curl makes it of `-F image=@a.jpg,b.jpg`."""
    inner = [b'--y\r\nContent-Disposition: attachment; filename="a.jpg"\r\n\r\n%b\r\n' % each for each in contents]
    return part("", f"Content-Type: multipart/mixed; boundary={boundary}"), b"".join(inner) + b"--y--\r\n"


def instances(*texts: Any) -> dict[str, Any]:
    return {"json": {"instances": [{"b64": text} for text in texts]}}


def packed(request_: dict[str, Any], encoding: str = "gzip", pack: Callable[[bytes], bytes] = gzip.compress) -> Any:
    """The same request with its body compressed."""
    sent = EnvironBuilder("/predict", method="POST", **request_).get_request()
    head = {"Content-Encoding": encoding}
    return {"data": pack(sent.get_data()), "content_type": sent.content_type, "headers": head}


def raw(kind: str | None) -> dict[str, Any]:
    return {"data": PHOTO, "content_type": kind}


@pytest.fixture
def expected(client: FlaskClient) -> Any:
    return client.post("/predict", **raw("image/jpeg")).json["predictions"][0]


@pytest.mark.parametrize(
    "request_",
    [
        form(("image", PHOTO)),
        form(("file", PHOTO)),
        form(("other", b"x"), ("image", PHOTO)),
        raw("image/jpeg"),
        raw("image/png"),  # the format is told by content
        raw("application/octet-stream"),
        raw(None),
        instances(b64()),
        instances(b64().rstrip("=")),
        instances(base64.urlsafe_b64encode(PHOTO).decode()),
        instances(base64.encodebytes(PHOTO).decode()),
        instances("data:image/jpeg;base64," + b64()),
        instances("data:;base64," + b64()),
        instances("data:image/jpeg;name=my%20cat%20(1).jpg;base64," + b64()),  # as react-jsonschema-form makes it
        instances('data:image/jpeg;name="a, b; c.jpg";base64,' + b64()),
        instances("DATA:image/jpeg;BASE64," + b64()),
        instances("data:image/jpeg;base64," + quote(b64(), safe="")),
        packed(raw("image/jpeg")),
        packed(raw("image/jpeg"), "deflate", zlib.compress),
        packed(form(("image", PHOTO))),
        multipart((part('; filename="k\xfcche.jpg"'), PHOTO)),  # one byte of Latin-1
        multipart((part(name="gr\xf6\xdfe"), b"5"), (part('; filename="a.jpg"'), PHOTO)),
        multipart((part("; filename*=UTF-8''k%C3%BCche.jpg"), PHOTO)),
        multipart((part('; filename="a.jpg"'), PHOTO), line=b"\n"),
        multipart((part("", "Content-Type: image/jpeg"), PHOTO)),
        multipart((part("", "content-type: Application/Octet-Stream"), PHOTO)),
        multipart((part("", "Content-Type: text/plain"), PHOTO)),
        multipart((part(), PHOTO)),
        multipart((part(name="file"), PHOTO)),
        multipart((part(), b"a caption"), (part('; filename="a.jpg"', name="file"), PHOTO)),
        multipart((part('; filename="a.jpg"', "Content-Transfer-Encoding: binary"), PHOTO)),
        multipart((part('; filename="a.jpg"', "Content-Transfer-Encoding: BASE64"), base64.encodebytes(PHOTO))),
        multipart((part("", "Content-Transfer-Encoding: base64"), b64().encode())),
        multipart((part('; filename="a"', "Content-Transfer-Encoding: quoted-printable"), binascii.b2a_qp(PHOTO))),
        multipart(mixed(PHOTO)),
        packed(instances(b64())),
        {"data": codecs.BOM_UTF8 + json.dumps(instances(b64())["json"]).encode(), "content_type": "application/json"},
        raw("image/jpeg") | {"headers": {"Content-Encoding": "identity"}},
    ],
)
def test_every_way_to_post_gets_the_same_answer(client: FlaskClient, request_: dict[str, Any], expected: Any) -> None:
    answer = client.post("/predict", **request_)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/json"
    assert set(answer.json) == {"model", "predictions", "request_id"}
    assert answer.json["model"] == {"name": "catdog", "version": "1"}
    assert answer.json["predictions"] == [expected]
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_a_prediction_has_the_promised_form(expected: Any) -> None:
    assert set(expected) == {"label", "score", "top"}
    assert {"label": expected["label"], "score": expected["score"]} == expected["top"][0]
    assert sorted(one["label"] for one in expected["top"]) == ["cat", "dog"]
    assert expected["top"][0]["score"] >= expected["top"][1]["score"]
    assert sum(one["score"] for one in expected["top"]) == pytest.approx(1, abs=1e-5)


def test_several_are_answered_in_order(client: FlaskClient, expected: Any) -> None:
    other = io.BytesIO()
    Image.new("RGB", (40, 40), "navy").save(other, "PNG")
    alone = client.post("/predict", data=other.getvalue(), content_type="image/png").json["predictions"][0]
    assert alone != expected
    for request_ in (
        form(("image", PHOTO), ("image", other.getvalue()), ("image", PHOTO)),
        multipart((part(), PHOTO), (part(name="file"), other.getvalue()), (part(), PHOTO)),
        multipart(mixed(PHOTO, other.getvalue()), (part(name="file"), PHOTO)),
        instances(b64(), b64(other.getvalue()), b64()),
    ):
        assert client.post("/predict", **request_).json["predictions"] == [expected, alone, expected]


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (multipart(*[(part(name="a"), b"")] * 2049), "broken_form", "more than 2048 parts"),
        (multipart(*[mixed(*[b"a"] * 1000)] * 3), "broken_form", "more than 2048 parts"),
        (multipart(*[mixed()] * 2049), "broken_form", "more than 2048 parts"),
        (
            multipart((part(), PHOTO), ("Content-Type: image/jpeg", PHOTO)),
            "broken_form",
            "A part of it has no line like",
        ),
        (multipart(("X: " + "a" * 20_000, PHOTO)), "broken_form", "more than 16384 bytes"),
        (multipart(*[(part("", "X: " + "a" * 16_000), b"x")] * 40), "broken_form", "more than 524288 bytes"),
        ({"data": b"--x--", "content_type": "multipart/form-data"}, "broken_form", "names no boundary"),
        ({"data": b"--y--", "content_type": "multipart/form-data; boundary=x"}, "broken_form", "no line with"),
        ({"data": b"--x\n\n\n", "content_type": "multipart/form-data; boundary=x"}, "broken_form", "closing boundary"),
        (multipart(mixed(PHOTO, boundary="")), "broken_form", "names no boundary"),
        (multipart((part(), b"photo.jpg")), "no_image", "image holds text"),
        (multipart((part(name="file"), "é".encode() * 600)), "no_image", "file holds text"),
        (multipart((part("", "Content-Type: text/plain"), b"")), "no_image", "image holds text"),
        (multipart(("Content-Disposition: form-data", PHOTO)), "no_image", "without a name"),
        (multipart((part("", "Content-Type: image/jpeg"), b"")), "empty_image", "0 bytes"),
        (multipart((part("", "Content-Transfer-Encoding: base64"), b"%%")), "bad_base64", "image is not the base64"),
        (multipart((part("", "Content-Transfer-Encoding: uuencode"), b"x")), "broken_form", "uuencode is not taken"),
    ],
)
def test_a_refused_form_is_told_what_is_wrong(
    client: FlaskClient, request_: dict[str, Any], code: str, says: str
) -> None:
    answer = client.post("/predict", **request_)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, code), answer.text
    assert says in answer.json["error"]["message"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_json_in_another_encoding_is_told_so(client: FlaskClient, encoding: str) -> None:
    body = json.dumps({"instances": ["größe"]}, ensure_ascii=False).encode(encoding)
    error = client.post("/predict", data=body, content_type="application/json").json["error"]
    assert error["code"] == "broken_json"
    assert "Send JSON as UTF-8" in error["message"]


@pytest.mark.parametrize(("top", "count"), [("1", 1), ("2", 2), (None, 2), ("01", 1)])
def test_top_says_how_many_labels(client: FlaskClient, top: str | None, count: int) -> None:
    answer = client.post("/predict", query_string={"top": top} if top else {}, **raw("image/jpeg"))
    assert len(answer.json["predictions"][0]["top"]) == count


@pytest.mark.parametrize("top", ["0", "-1", "x", "", "3", "1.5", "1e0", "٣", " 1", "9" * 5000, "+1", "0x1"])
def test_a_wrong_top_is_refused(client: FlaskClient, top: str) -> None:
    answer = client.post("/predict", query_string={"top": top}, **raw("image/jpeg"))
    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "bad_top"
    assert "1 to 2" in answer.json["error"]["message"]


def test_top_is_given_once(client: FlaskClient) -> None:
    answer = client.post("/predict?top=1&top=2&version=", **raw("image/jpeg"))
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_query")
    assert "top is given 2 times" in answer.json["error"]["message"]
    assert "version is empty" in answer.json["error"]["message"]


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "no_image"),
    "nothing, with a type": ({"data": b"", "content_type": "image/jpeg"}, 400, "no_image"),
    "empty file": (form(("image", b"")), 400, "empty_image"),
    "empty json": ({"data": b"", "content_type": "application/json"}, 400, "broken_json"),
    "no instances": ({"json": {"instances": []}}, 400, "no_image"),
    "other keys": ({"json": {"images": []}}, 400, "bad_instances"),
    "a json list": ({"json": [1]}, 400, "bad_instances"),
    "instances of numbers": ({"json": {"instances": [1, None, {"x": "y"}]}}, 400, "bad_instances"),
    "a number as base64": (instances(5), 400, "bad_instances"),
    "empty base64": (instances(""), 400, "empty_image"),
    "empty base64 and none": (instances("", 5), 400, "bad_instances"),
    "broken json": ({"data": b'{"instances": [', "content_type": "application/json"}, 400, "broken_json"),
    "not utf-8": ({"data": b'{"instances": ["\xff"]}', "content_type": "application/json"}, 400, "broken_json"),
    "deep json": ({"data": b"[" * 100_000, "content_type": "application/json"}, 400, "broken_json"),
    "broken base64": (instances(b64(), "%%%%"), 400, "bad_base64"),
    "base64 with letters of others": (instances("größe"), 400, "bad_base64"),
    "base64 of impossible length": (instances("AAAAA"), 400, "bad_base64"),
    "percent signs in base64": (instances(quote(b64(), safe="")), 400, "bad_base64"),
    "data url with broken base64": (instances("data:;base64,%%"), 400, "bad_base64"),
    "data url of nothing": (instances("data:;base64,"), 400, "empty_image"),
    "data url without base64": (instances("data:image/png,abc"), 400, "bad_instances"),
    "base64 of text": (instances(b64(b"hello")), 400, "not_an_image"),
    "text": ({"data": b"hello", "content_type": "image/jpeg"}, 400, "not_an_image"),
    "svg": ({"data": b"<svg xmlns='x'></svg>", "content_type": "image/svg+xml"}, 415, "unsupported_image_format"),
    "heic": ({"data": b"\0\0\0\x18ftypheic" + bytes(9), "content_type": "image/heic"}, 415, "unsupported_image_format"),
    "media type": ({"data": PHOTO, "content_type": "text/plain"}, 415, "unsupported_media_type"),
    "curl -d": ({"data": {"image": "x"}}, 415, "unsupported_media_type"),
    "too many": (form(*[("image", PHOTO)] * 5), 400, "too_many_images"),
    "too many json": (instances(*["AAAA"] * 5), 400, "too_many_images"),
    "too many of anything": ({"json": {"instances": [1] * 100_000}}, 400, "too_many_images"),
    "too large": ({"data": b"x" * 1_000_001, "content_type": "image/jpeg"}, 413, "body_too_large"),
    "not packed": (raw("image/jpeg") | {"headers": {"Content-Encoding": "gzip"}}, 400, "broken_encoding"),
    "packed in another way": (packed(raw("image/jpeg"), "br"), 415, "unsupported_encoding"),
    "too large unpacked": (packed({"data": bytes(1_000_001), "content_type": "image/jpeg"}), 413, "body_too_large"),
    "text in the field": ({"data": {"image": "photo.jpg"}, "content_type": "multipart/form-data"}, 400, "no_image"),
    "another field": (form(("picture", PHOTO)), 400, "no_image"),
    "no boundary": ({"data": b"--x\r\n", "content_type": "multipart/form-data"}, 400, "broken_form"),
    "cut form": (
        {"data": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nabc',
         "content_type": "multipart/form-data; boundary=x"}, 400, "broken_form"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_get_a_stable_code(client: FlaskClient, name: str) -> None:
    request_, status, code = BAD[name]
    answer = client.post("/predict", **request_)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code), answer.text
    assert len(answer.json["error"]["message"]) > 15


def test_every_bad_instance_is_named(client: FlaskClient) -> None:
    answer = client.post("/predict", json={"instances": [{"b64": "%"}, {"b64": b64()}, 7]})
    assert "instances[0]" in answer.json["error"]["message"]
    assert "instances[2]" in answer.json["error"]["message"]


def test_bytes_at_the_limit_pass_and_one_more_does_not(client: FlaskClient) -> None:
    padded = PHOTO + bytes(1_000_000 - len(PHOTO))  # a JPEG ends at its end marker, whatever follows
    assert client.post("/predict", data=padded, content_type="image/jpeg").status_code == 200
    assert client.post("/predict", data=padded + b"\0", content_type="image/jpeg").status_code == 413


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(["image/jpeg", "application/json", "multipart/form-data; boundary=x"]),
)
def test_any_bytes_are_refused_without_a_500(client: FlaskClient, body: bytes, kind: str) -> None:
    answer = client.post("/predict", data=body, content_type=kind)
    assert answer.status_code in (400, 415), answer.text


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["instances", "b64", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=json_values)
def test_any_json_is_refused_without_a_500(client: FlaskClient, value: Any) -> None:
    answer = client.post("/predict", data=json.dumps(value), content_type="application/json")
    assert answer.status_code == 400, answer.text
