"""POST /predict over real sockets, without and with nginx: every way to post, every form of picture."""

from __future__ import annotations

import base64
import functools
import gzip
import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from PIL import Image

from tests import pictures
from tests.servers import Server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def picture(photo: bytes) -> Image.Image:
    """The photo, cut to whole blocks of a JPEG, so that turning it loses nothing."""
    return Image.open(io.BytesIO(photo)).convert("RGB").crop((0, 0, 496, 368))


def predict(base: Server, **request: Any) -> dict[str, Any]:
    """Post, check the whole form of the answer, and give its body."""
    request_id = uuid.uuid4().hex
    headers = {"X-Request-ID": request_id} | request.pop("headers", {})
    answer = requests.post(f"{base.url}/predict", headers=headers, timeout=30, **request)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"] == request_id
    body = answer.json()
    assert set(body) == {"model", "predictions", "request_id"}
    assert body["request_id"] == request_id
    assert set(body["model"]) == {"name", "version"}
    for prediction in body["predictions"]:
        top = prediction["top"]
        assert {"label": prediction["label"], "score": prediction["score"]} == top[0]
        scores = [one["score"] for one in top]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
    return body


def scores(base: Server, data: bytes) -> dict[str, float]:
    """The score of each label for one picture."""
    [prediction] = predict(base, data=data)["predictions"]
    found = {one["label"]: one["score"] for one in prediction["top"]}
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)
    return found


@pytest.fixture(scope="module")
def form_of(picture: Image.Image) -> Callable[[str], bytes]:
    """The picture in one of the forms, made once."""
    return functools.cache(lambda form: pictures.FORMS[form](picture))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("how", ["image", "file", "raw", "octet-stream", "no type", "wrong type", "json", "data url"])
def test_every_way_to_post_gives_the_same_answer(base: Server, photo: bytes, how: str) -> None:
    request: dict[str, Any] = {
        "image": {"files": {"image": ("cat.jpg", photo, "image/jpeg")}},
        "file": {"files": {"file": photo}},
        "raw": {"data": photo, "headers": {"Content-Type": "image/jpeg"}},
        "octet-stream": {"data": photo, "headers": {"Content-Type": "application/octet-stream"}},
        "no type": {"data": photo},
        "wrong type": {"data": photo, "headers": {"Content-Type": "image/png"}},  # told by content
        "json": {"json": {"instances": [{"b64": b64(photo)}]}},
        "data url": {"json": {"instances": [{"b64": f"data:image/jpeg;base64,{b64(photo)}"}]}},
    }[how]
    assert predict(base, **request)["predictions"] == predict(base, data=photo)["predictions"]


def test_a_chunked_body_is_taken(base: Server, photo: bytes) -> None:
    pieces = (photo[start : start + 1000] for start in range(0, len(photo), 1000))
    assert predict(base, data=pieces)["predictions"] == predict(base, data=photo)["predictions"]


def test_a_packed_body_gets_the_same_answer(base: Server, photo: bytes) -> None:
    answers = []
    for head, data in (({}, photo), ({"Content-Encoding": "gzip"}, gzip.compress(photo))):
        head |= {"Content-Type": "image/jpeg", "X-Request-ID": "packed"}
        answers.append(requests.post(f"{base.url}/predict", data=data, headers=head, timeout=10))
    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content


def test_a_body_too_large_for_one_read_is_whole(base: Server, picture: Image.Image) -> None:
    big = picture.resize((1600, 1200))
    assert len(bmp := pictures.encoded(big, "BMP")) > 5_000_000
    assert scores(base, bmp) == pytest.approx(scores(base, pictures.encoded(big, "PNG", compress_level=1)), abs=1e-4)


@pytest.mark.parametrize("how", ["form", "json"])
def test_several_are_answered_in_order(base: Server, picture: Image.Image, how: str) -> None:
    several = [
        pictures.encoded(picture, "PNG"),
        pictures.encoded(Image.new("RGB", (64, 64), "orange"), "PNG"),
        pictures.encoded(picture.rotate(90), "JPEG"),
        pictures.encoded(Image.new("L", (64, 64), 0), "BMP"),
    ]
    if how == "form":
        fields = ["image", "file", "image", "file"]  # either name, also mixed
        files = [(field, (f"{number}", data)) for number, (field, data) in enumerate(zip(fields, several, strict=True))]
        together = predict(base, files=files)["predictions"]
    else:
        together = predict(base, json={"instances": [{"b64": b64(data)} for data in several]})["predictions"]
    alone = [predict(base, data=data)["predictions"][0] for data in several]
    assert [one["label"] for one in together] == [one["label"] for one in alone]
    assert [one["score"] for one in together] == pytest.approx([one["score"] for one in alone], abs=1e-4)


def test_as_many_as_are_allowed(base: Server, photo: bytes) -> None:
    answers = predict(base, files=[("image", photo)] * 16)["predictions"]
    assert answers == answers[:1] * 16


def test_top(base: Server, photo: bytes) -> None:
    [every] = predict(base, data=photo)["predictions"]
    for count in range(1, len(every["top"]) + 1):
        [some] = predict(base, data=photo, params={"top": count})["predictions"]
        assert some["top"] == every["top"][:count]


@pytest.mark.parametrize("form", pictures.EXACT)
def test_lossless_forms_give_the_same_scores(base: Server, form_of: Callable[[str], bytes], form: str) -> None:
    assert scores(base, form_of(form)) == pytest.approx(scores(base, form_of("png")), abs=1e-3)


@pytest.mark.parametrize("form", pictures.LOSSY)
def test_other_forms_are_answered(base: Server, form_of: Callable[[str], bytes], form: str) -> None:
    scores(base, form_of(form))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_gets_the_same_answer(base: Server, picture: Image.Image, orientation: int) -> None:
    expected = scores(base, pictures.turned(picture, 1))
    found = scores(base, pictures.turned(picture, orientation))
    assert found == pytest.approx(expected, abs=0.02)
    assert max(found, key=found.__getitem__) == max(expected, key=expected.__getitem__)


def test_transparency_shows_white(service: Server) -> None:
    white = pictures.encoded(Image.new("RGB", (64, 64), "white"), "PNG")
    nothing = pictures.encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), "PNG")
    assert scores(service, nothing) == pytest.approx(scores(service, white), abs=1e-6)


def test_one_connection_carries_many_requests(base: Server, photo: bytes) -> None:
    with requests.Session() as session:
        answers = [session.post(f"{base.url}/predict", data=photo, timeout=30) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert len({str(answer.json()["predictions"]) for answer in answers}) == 1


def test_predictions_are_right(service: Server, pettrain: Any) -> None:
    """Not how good the model is, which its card says, but that it is fed as it was trained."""
    right = 0
    for label in ("cat", "dog"):
        for path in sorted((pettrain / label).glob(f"{label}.1*.jpg"))[:20]:
            [prediction] = predict(service, data=path.read_bytes())["predictions"]
            right += prediction["label"] == label
    assert right >= 34, f"{right} of 40 photos"
