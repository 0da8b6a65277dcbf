"""The demo page in a real browser, against the running service."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from app.keys import file as key_file
from tests import servers, stores

if TYPE_CHECKING:
    from playwright.sync_api import FileChooser, Page

# One group: the tests share one browser and one service, and a second Chromium would only compete with the first.
pytestmark = [pytest.mark.browser]

REFUSED = r"the server responded with a status of 4\d\d"
FAILED = r"the server responded with a status of 5\d\d"
OFFLINE = r"net::ERR_INTERNET_DISCONNECTED"

MAKE_TRANSFER = """(files) => {
  const transfer = new DataTransfer();
  for (const { name, type, body } of files) {
    const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  return transfer;
}"""

LONG_ANSWER = {
    "model": {"name": "imagenet", "version": "1"},
    "predictions": [
        {
            "label": "Egyptian_cat_that_has_one_very_long_label_without_a_single_blank_in_it",
            "score": 0.99996,
            "top": [
                {"label": "Egyptian_cat_that_has_one_very_long_label_without_a_single_blank_in_it", "score": 0.99996},
                {"label": "tabby, tabby cat, or any other of the many names that this animal has", "score": 0.00003},
                {"label": "<b>lynx</b>", "score": 0.000005},
                {"label": "tiger cat", "score": 0.000005},
                {"label": "Persian cat", "score": 0.0},
            ],
        }
    ],
    "request_id": "0123456789abcdef0123456789abcdef",
}


def home(service: Any) -> str:
    """The URL of the page, with the last slash that relative URLs rest on."""
    return service.url.rstrip("/") + "/"


def a_file(name: str, body: bytes, kind: str = "image/jpeg") -> dict[str, str]:
    """A file as MAKE_TRANSFER takes it."""
    return {"name": name, "type": kind, "body": base64.b64encode(body).decode()}


def drop(page: "Page", *files: dict[str, str]) -> None:
    """Drop files on the drop zone."""
    transfer = page.evaluate_handle(MAKE_TRANSFER, list(files))
    page.dispatch_event("#kiln", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("#kiln", "drop", {"dataTransfer": transfer})


def reach(page: "Page", state: str) -> None:
    """Wait until the page is in a state: idle, busy, done or failed."""
    page.wait_for_selector(f'body[data-state="{state}"]')


def until(page: "Page", condition: str | Callable[[], object]) -> None:
    """Wait until a JavaScript expression or a Python function is true."""
    # Not page.wait_for_function: it polls with eval() inside the page, which the page's own policy forbids.
    patience = time.monotonic() + 30  # seconds, for a busy machine
    while not (condition() if callable(condition) else page.evaluate(condition)):
        assert time.monotonic() < patience, f"never came true: {condition}"
        page.wait_for_timeout(20)


def file_choosers(page: "Page") -> "list[FileChooser]":
    """A list that fills with the file choosers that the page opens."""
    # Not page.expect_file_chooser: it starts to listen so late that it misses one that opens at once on a key press.
    opened: list[FileChooser] = []
    page.on("filechooser", lambda chooser: opened.append(chooser))
    return opened


def ask_directly(page: "Page", service: Any, name: str, body: bytes, kind: str = "image/jpeg") -> Any:
    """What the service answers to a plain HTTP POST of the same file, without the page."""
    return page.request.post(home(service) + "predict", multipart={"image": part_of(name, body, kind)})


def part_of(name: str, body: bytes, kind: str = "image/jpeg") -> dict[str, Any]:
    """A file as a plain HTTP POST takes it."""
    return {"name": name, "mimeType": kind, "buffer": body}


def percent(score: float) -> str:
    """A score as the page words it."""
    text = f"{score * 100:.1f}"
    if text == "100.0" and score < 1:
        return ">99.9%"
    if text == "0.0" and score > 0:
        return "<0.1%"
    return f"{text}%"


def shown_scores(page: "Page") -> list[dict[str, Any]]:
    """The rows of the answer as the page shows them."""
    return page.eval_on_selector_all(
        "#scores li",
        """(rows) => rows.map((row) => ({
          label: row.querySelector(".label").textContent,
          text: row.querySelector(".score").textContent,
          score: Number(row.querySelector(".score").value),
          share: Number(row.querySelector(".bar span").style.getPropertyValue("--share")),
        }))""",
    )


def assert_shows(page: "Page", answer: dict[str, Any]) -> None:
    """The page shows this answer of the service, in all the places where it says it."""
    best = answer["predictions"][0]
    rows = shown_scores(page)
    assert [row["label"] for row in rows] == [one["label"] for one in best["top"][:5]]
    for row, one in zip(rows, best["top"], strict=False):
        assert row["score"] == pytest.approx(one["score"], abs=1e-5)
        assert row["share"] == pytest.approx(one["score"], abs=1e-5)
        assert row["text"] == percent(row["score"])
    assert page.text_content("#label") == best["label"]
    assert page.text_content("#score") == rows[0]["text"]
    assert re.fullmatch(r"\d[\d,]* ms", page.text_content("#time"))
    assert best["label"] in page.text_content("#status"), "the answer is not announced"
    model = answer["model"]
    assert page.text_content("#answerer") == f"{model['name']}, version {model['version']}"
    assert page.text_content(".model") == f"{model['name']} version {model['version']}"


def keep_screenshot(page: "Page", name: str) -> bytes:
    """A picture of the whole page, as PNG; kept for people where KILN_SCREENSHOT_DIR says so."""
    picture = page.screenshot(full_page=True, animations="disabled")
    if keep := os.environ.get("KILN_SCREENSHOT_DIR"):
        Path(keep).mkdir(parents=True, exist_ok=True)
        (Path(keep) / f"demo-{name}.png").write_bytes(picture)
    return picture


def predict_requests(page: "Page") -> list[str]:
    """A list that fills with the URLs of the requests to predict."""
    urls: list[str] = []
    page.on("request", lambda sent: urls.append(sent.url) if urlsplit(sent.url).path.endswith("/predict") else None)
    return urls


# ---- The ways in -----------------------------------------------------------------------------------------------------


def test_drop_shows_the_answer_of_the_service(page: "Page", service: Any, photo_path: Path) -> None:
    photo = photo_path.read_bytes()
    page.goto(home(service))
    drop(page, a_file("my cat.jpg", photo))
    reach(page, "done")
    assert_shows(page, ask_directly(page, service, "my cat.jpg", photo).json())
    until(page, "document.querySelector('#preview').naturalWidth > 0")
    assert page.is_visible("#preview")
    assert "my cat.jpg" in page.text_content("#file")


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_choose_with_the_keyboard(page: "Page", service: Any, photo_path: Path, key: str) -> None:
    choosers = file_choosers(page)
    page.goto(home(service))
    page.focus("#image")
    page.keyboard.press(key)
    until(page, lambda: choosers)
    choosers[0].set_files(photo_path)
    reach(page, "done")
    assert_shows(page, ask_directly(page, service, photo_path.name, photo_path.read_bytes()).json())


def test_click_on_the_kiln_chooses_a_file(page: "Page", service: Any, photo_path: Path) -> None:
    choosers = file_choosers(page)
    page.goto(home(service))
    page.click("#kiln")
    until(page, lambda: choosers)
    choosers[0].set_files(photo_path)
    reach(page, "done")
    assert len(choosers) == 1


def test_the_same_file_can_be_chosen_twice(page: "Page", service: Any, photo_path: Path) -> None:
    sent = predict_requests(page)
    page.goto(home(service))
    for times in (1, 2):
        page.set_input_files("#image", photo_path)
        reach(page, "done")
        assert len(sent) == times


def test_paste_from_the_clipboard(new_page: Callable[..., "Page"], service: Any, photo_path: Path) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(home(service))
    png = io.BytesIO()
    Image.open(photo_path).save(png, "PNG")
    page.evaluate(
        """async (body) => {
          const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
          await navigator.clipboard.write([new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})})]);
        }""",
        base64.b64encode(png.getvalue()).decode(),
    )
    page.keyboard.press("ControlOrMeta+V")
    reach(page, "done")
    # The clipboard writes the PNG anew, so only the picture is the same, not the bytes.
    answer = ask_directly(page, service, "cat.png", png.getvalue(), "image/png").json()
    assert page.text_content("#label") == answer["predictions"][0]["label"]


def test_paste_without_an_image_says_so(new_page: Callable[..., "Page"], service: Any) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(home(service))
    page.evaluate("navigator.clipboard.writeText('just words')")
    page.keyboard.press("ControlOrMeta+V")
    page.wait_for_selector("#note:visible")
    assert "no image" in page.text_content("#note")
    assert "no image" in page.text_content("#status")


def drag_in(page: "Page", *items: tuple[str, str], may: int = 1) -> None:
    """Drag data into the browser from elsewhere and drop it, as the browser's own drag does.

    items: media types and data. may: what the source allows, 1 copy, 2 link, 3 both.
    """
    data = {"items": [{"mimeType": kind, "data": text} for kind, text in items], "dragOperationsMask": may}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})


@pytest.mark.parametrize("may", [1, 2, 3])
@pytest.mark.parametrize(
    "items",
    [
        [("text/uri-list", "http://127.0.0.1:9/cat.jpg"), ("text/html", "<img src='http://127.0.0.1:9/cat.jpg'>")],
        [("text/uri-list", "http://127.0.0.1:9/page")],
        [("text/plain", "http://127.0.0.1:9/page")],
        [("text/uri-list", "data:image/png;base64,%%%")],
        [("text/uri-list", "data:text/html;base64,PGI+")],
    ],
    ids=["picture", "link", "words", "no base64", "no picture"],
)
def test_a_drop_from_another_page_says_to_save_it_first(
    page: "Page", service: Any, items: list[tuple[str, str]], may: int
) -> None:
    sent = predict_requests(page)
    page.goto(home(service))
    drag_in(page, *items, may=may)
    page.wait_for_selector("#note:visible")
    assert "Save the picture first" in page.text_content("#note")
    assert page.text_content("#status") == page.text_content("#note")
    assert page.url == home(service)
    assert [one.url for one in page.context.pages] == [page.url], "it was opened elsewhere"
    assert sent == []


@pytest.mark.parametrize(
    "items",
    [
        [("text/uri-list", "{url}")],
        [("text/uri-list", "http://127.0.0.1:9/page"), ("text/html", "<a href='x'><img alt='a' src='{url}'></a>")],
    ],
    ids=["picture", "picture in a link"],
)
def test_a_picture_that_another_page_holds_inside_itself_is_taken(
    page: "Page", service: Any, photo_path: Path, items: list[tuple[str, str]]
) -> None:
    photo = photo_path.read_bytes()
    url = f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"
    page.goto(home(service))
    drag_in(page, *((kind, text.format(url=url)) for kind, text in items))
    reach(page, "done")
    assert_shows(page, ask_directly(page, service, "cat.jpg", photo).json())
    assert page.text_content("#file").startswith("picture.jpeg, ")


def test_of_several_files_the_first_is_taken(page: "Page", service: Any, photo_path: Path) -> None:
    photo = photo_path.read_bytes()
    sent = predict_requests(page)
    page.goto(home(service))
    drop(page, a_file("first.jpg", photo), a_file("second.jpg", photo))
    reach(page, "done")
    assert "2 files" in page.text_content("#note")
    assert "first.jpg" in page.text_content("#note")
    assert len(sent) == 1


def test_last_photo_wins(page: "Page", service: Any, photo_path: Path) -> None:
    # The first reply is held back and, worse than a real one, ignores that it was aborted.
    page.add_init_script(
        """{
          const send = window.fetch;
          window.calls = [];
          window.fetch = async (url, options) => {
            const first = calls.push(options.signal) === 1;
            if (!first) return send(url, options);
            await new Promise((resolve) => (window.letGo = resolve));
            const model = {name: "catdog", version: "1"};
            return Response.json({model, predictions: [{label: "late", score: 1, top: [{label: "late", score: 1}]}]});
          };
        }"""
    )
    photo = photo_path.read_bytes()
    page.goto(home(service))
    drop(page, a_file("first.jpg", photo))
    reach(page, "busy")
    drop(page, a_file("second.jpg", photo))
    reach(page, "done")
    assert page.evaluate("calls.map((signal) => signal.aborted)") == [True, False]
    page.evaluate("letGo()")
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
    assert page.text_content("#label") != "late"
    assert "second.jpg" in page.text_content("#file")
    assert_shows(page, ask_directly(page, service, "second.jpg", photo).json())


def test_previews_do_not_pile_up(page: "Page", service: Any, photo_path: Path) -> None:
    page.add_init_script(
        """{
          const [make, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
          window.live = new Set();
          URL.createObjectURL = (file) => { const url = make.call(URL, file); live.add(url); return url; };
          URL.revokeObjectURL = (url) => { live.delete(url); revoke.call(URL, url); };
        }"""
    )
    page.goto(home(service))
    for _ in range(3):
        page.set_input_files("#image", photo_path)
        reach(page, "done")
    assert page.evaluate("live.size") == 1


def test_rotated_photo_is_shown_upright(page: "Page", service: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: turn clockwise by a quarter to show it
    picture = io.BytesIO()
    Image.new("RGB", (120, 60), "orange").save(picture, "JPEG", exif=exif)
    page.goto(home(service))
    drop(page, a_file("turned.jpg", picture.getvalue()))
    reach(page, "done")
    until(page, "document.querySelector('#preview').naturalWidth > 0")
    assert page.evaluate("[preview.naturalWidth, preview.naturalHeight]") == [60, 120]


@pytest.mark.expected_console(REFUSED)  # whether the service reads TIFF is its own affair
def test_a_format_without_preview_is_posted_all_the_same(page: "Page", service: Any, photo_path: Path) -> None:
    tiff = io.BytesIO()
    Image.open(photo_path).save(tiff, "TIFF")
    sent = predict_requests(page)
    page.goto(home(service))
    drop(page, a_file("scan.tiff", tiff.getvalue(), "image/tiff"))
    page.wait_for_selector("#placeholder:visible")
    assert page.text_content("#placeholder-name") == "scan.tiff"
    assert not page.is_visible("#preview")
    page.wait_for_selector('body[data-state="done"], body[data-state="failed"]')
    assert len(sent) == 1


# ---- Who answered ----------------------------------------------------------------------------------------------------


def test_another_version_takes_over_while_the_page_is_open(
    page: "Page", start_service: Callable[..., Any], photo_path: Path, tmp_path: Path
) -> None:
    stores.add(tmp_path, "1", mark="yes")
    service = start_service(store=tmp_path, workers=1)

    def answered_by(version: str) -> dict[str, Any]:
        """Ask on the page, once this version is in force; give the service's own answer."""
        servers.wait_for(lambda: direct().get("model", {}).get("version") == version, f"version {version}")
        page.set_input_files("#image", photo_path)
        until(page, lambda: page.text_content("#answerer") == f"catdog, version {version}")
        return direct()

    def direct() -> dict[str, Any]:
        return ask_directly(page, service, photo_path.name, photo_path.read_bytes()).json()

    page.goto(home(service))
    assert_shows(page, answered_by("1"))
    assert page.text_content("h1") == "yes or other?"

    second = stores.add(tmp_path, "2", mark="no")
    assert_shows(page, answered_by("2"))
    assert page.text_content("h1") == "What is in the photo?", "these are the words of other labels"
    page.route("**/predict", lambda route: None)
    page.set_input_files("#image", photo_path)
    reach(page, "busy")
    assert "yes" not in page.inner_text("main")
    page.unroute("**/predict")

    second.rename(tmp_path / ".away")
    assert_shows(page, answered_by("1"))
    assert page.text_content("h1") == "yes or other?"


# ---- What goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.expected_console(REFUSED)
def test_error_of_the_service_is_shown(page: "Page", service: Any, photo_path: Path) -> None:
    text = b"This is no photo at all."
    page.goto(home(service))
    drop(page, a_file("notes.txt", text, "text/plain"))
    reach(page, "failed")
    reply = ask_directly(page, service, "notes.txt", text, "text/plain")
    assert 400 <= reply.status < 500
    assert reply.json()["error"]["message"] in page.text_content("#problem")
    assert page.get_attribute("#problem", "role") == "alert"
    assert not page.is_visible("#retry"), "the same file would be refused again"
    assert not page.is_visible("#scores")
    # and the next photo gets its answer
    drop(page, a_file("cat.jpg", photo_path.read_bytes()))
    reach(page, "done")
    assert page.text_content("#problem") == ""


@pytest.mark.expected_console(REFUSED)
def test_a_model_that_has_gone_is_not_the_fault_of_the_file(
    page: "Page", start_service: Callable[..., Any], photo_path: Path, tmp_path: Path
) -> None:
    stores.add(tmp_path, "1")
    gone = stores.add(tmp_path, "1", name="petals").parent
    service = start_service(store=tmp_path, workers=1)
    page.goto(home(service) + "?model=petals")
    gone.rename(tmp_path / ".away")
    path = home(service) + "predict?model=petals"
    photo = photo_path.read_bytes()
    servers.wait_for(
        lambda: page.request.post(path, multipart={"image": part_of("cat.jpg", photo)}).status == 404, "no petals"
    )
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    problem = page.text_content("#problem")
    assert problem.startswith("That model is not here any more")
    assert "petals" in problem, "what the service says is left out"
    assert not page.is_visible("#retry")
    keep_screenshot(page, "gone")
    page.focus("#image")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "reopen"
    page.keyboard.press("Enter")
    page.wait_for_url(home(service))
    page.set_input_files("#image", photo_path)
    reach(page, "done")


@pytest.mark.expected_console(REFUSED)
def test_a_key_that_is_wanted_is_not_the_fault_of_the_file(
    page: "Page", service: Any, start_service: Callable[..., Any], photo_path: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    key_file.add(keys, "phone")
    guarded = start_service(workers=1, api_keys=keys)
    photo = photo_path.read_bytes()
    refused = page.request.post(home(guarded) + "predict", multipart={"image": part_of("cat.jpg", photo)})
    page.goto(home(service))
    # As if keys had been switched on while the page was open.
    page.route("**/predict", lambda route: route.fulfill(status=refused.status, json=refused.json()))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    problem = page.text_content("#problem")
    assert problem.startswith("The service wants an API key")
    assert refused.json()["error"]["message"] in problem
    assert "reload" in problem
    assert page.is_visible("#reopen")
    assert not page.is_visible("#retry")
    page.unroute("**/predict")
    page.focus("#reopen")
    drop(page, a_file("cat.jpg", photo))
    reach(page, "done")
    assert not page.is_visible("#reopen")
    assert page.evaluate("document.activeElement.id") == "image", "the keyboard lost its place with the link"


@pytest.mark.expected_console(REFUSED)
@pytest.mark.parametrize("status", [401, 403])
def test_a_proxy_that_wants_a_sign_in(page: "Page", service: Any, photo_path: Path, status: int) -> None:
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(status=status, content_type="text/html", body="Sign in"))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    assert "You may not ask from here" in page.text_content("#problem")
    assert page.is_visible("#reopen")
    assert not page.is_visible("#retry")


def test_too_large_is_refused_before_sending(page: "Page", service: Any) -> None:
    sent = predict_requests(page)
    page.goto(home(service))
    page.evaluate(
        """() => {
          const transfer = new DataTransfer();
          const size = Number(document.body.dataset.maxBytes) + 1;
          transfer.items.add(new File([new Uint8Array(size)], "huge.jpg", {type: "image/jpeg"}));
          document.querySelector("#kiln").dispatchEvent(
            new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }"""
    )
    reach(page, "failed")
    problem = page.text_content("#problem")
    assert "too large" in problem
    assert page.text_content("#limit") in problem
    assert sent == []


def test_empty_file_is_refused_before_sending(page: "Page", service: Any) -> None:
    sent = predict_requests(page)
    page.goto(home(service))
    drop(page, a_file("empty.jpg", b""))
    reach(page, "failed")
    assert "empty" in page.text_content("#problem")
    assert sent == []


@pytest.mark.expected_console(OFFLINE)
def test_lost_network_and_retry(page: "Page", service: Any, photo_path: Path) -> None:
    page.goto(home(service))
    page.context.set_offline(True)
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    assert "not reached" in page.text_content("#problem")
    page.context.set_offline(False)
    page.focus("#retry")
    page.keyboard.press("Enter")
    reach(page, "done")
    assert page.evaluate("document.activeElement.id") == "image", "the keyboard lost its place with the retry button"


@pytest.mark.expected_console(FAILED)
def test_error_that_is_not_json(page: "Page", service: Any, photo_path: Path) -> None:
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad</h1>"))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    assert "not running" in page.text_content("#problem")
    page.unroute("**/predict")
    page.click("#retry")
    reach(page, "done")


@pytest.mark.expected_console(FAILED)
def test_busy_service_says_when_to_come_back(page: "Page", service: Any, photo_path: Path) -> None:
    error = {"error": {"code": "overloaded", "message": "All workers are busy."}, "request_id": "abc123"}
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(status=503, json=error, headers={"Retry-After": "2"}))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    assert "All workers are busy. It asks to wait 2 s." in page.text_content("#problem")
    assert page.text_content("#request-id") == "abc123"
    assert page.is_visible("#retry")


@pytest.mark.parametrize("body", ["<p>Sign in</p>", "{}", '{"predictions": [{"top": [null]}]}', "[]", "null"])
def test_success_that_is_no_answer(page: "Page", service: Any, photo_path: Path, body: str) -> None:
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(status=200, content_type="text/html", body=body))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    assert "No answer that this page can read" in page.text_content("#problem")
    assert page.is_visible("#retry")


# ---- The curl line ---------------------------------------------------------------------------------------------------


def test_curl_line(page: "Page", service: Any, photo_path: Path) -> None:
    page.goto(home(service))
    assert page.text_content("#curl") == f"curl -F image=@photo.jpg {home(service)}predict"
    drop(page, a_file("my cat.jpg", photo_path.read_bytes()))
    reach(page, "done")
    assert page.text_content("#curl") == f"curl -F 'image=@my cat.jpg' {home(service)}predict"


@pytest.mark.parametrize(
    "name",
    ["it's.jpg", 'a "b", c; d.jpg', "$(touch owned).jpg", "`id`.jpg", "-", "back\\slash.jpg", " x.jpg", "猫.jpg"],
)
def test_curl_line_runs(page: "Page", service: Any, photo_path: Path, tmp_path: Path, name: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    page.goto(home(service))
    line = page.evaluate("async (name) => (await import(new URL('static/demo.js', location))).curlLine(name)", name)
    (tmp_path / name).write_bytes(photo_path.read_bytes())
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout)["predictions"], done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["", "a\nb.jpg", "a\x1b[2Jb.jpg", "a\u202egpj.b"])
def test_curl_line_leaves_out_names_that_act_on_a_terminal(page: "Page", service: Any, name: str) -> None:
    page.goto(home(service))
    line = page.evaluate("async (name) => (await import(new URL('static/demo.js', location))).curlLine(name)", name)
    assert line == f"curl -F image=@photo.jpg {home(service)}predict"


def test_copy_button(new_page: Callable[..., "Page"], service: Any) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(home(service))
    page.focus("#copy")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#copy').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.text_content("#curl")
    assert "Copied" in page.text_content("#status")
    until(page, "document.querySelector('#copy').textContent === 'Copy'")


def test_copy_button_on_a_page_without_the_clipboard_api(new_page: Callable[..., "Page"], service: Any) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    # As a page served over plain HTTP finds it; reading back goes through the prototype.
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(home(service))
    page.click("#copy")
    until(page, "document.querySelector('#copy').textContent === 'Copied'")
    read = "Object.getOwnPropertyDescriptor(Navigator.prototype, 'clipboard').get.call(navigator).readText()"
    assert page.evaluate(read) == page.text_content("#curl")


# ---- Screens, keyboard, settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(375, 667), (320, 568)])
def test_phone_does_not_scroll_sideways(
    new_page: Callable[..., "Page"], service: Any, photo_path: Path, width: int, height: int
) -> None:
    page = new_page(viewport={"width": width, "height": height}, is_mobile=True, has_touch=True)

    def fits() -> bool:
        return page.evaluate("document.documentElement.scrollWidth") <= width

    page.goto(home(service))
    assert fits()
    page.set_input_files("#image", photo_path)
    reach(page, "done")
    assert fits()
    for control in ("#choose", "#copy"):
        assert page.locator(control).bounding_box()["height"] >= 44, f"{control} is small for a thumb"
    # The answer was brought up to where it is seen.
    until(page, "label.getBoundingClientRect().bottom <= innerHeight")

    page.route("**/predict", lambda route: route.fulfill(json=LONG_ANSWER))
    drop(page, a_file("a_very_long_file_name_without_any_blank_as_cameras_and_chats_make_them_0001.jpg", b"x"))
    until(page, "document.querySelectorAll('#scores li').length === 5")
    reach(page, "done")
    assert fits()


def test_five_of_many_labels(page: "Page", service: Any, photo_path: Path) -> None:
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(json=LONG_ANSWER))
    page.set_input_files("#image", photo_path)
    reach(page, "done")
    assert_shows(page, LONG_ANSWER)
    assert page.text_content("h1") == "What is in the photo?", "these are the words of another model"
    assert [row["text"] for row in shown_scores(page)] == [">99.9%", "<0.1%", "<0.1%", "<0.1%", "0.0%"]


def test_scores_that_are_no_shares_are_plain_numbers(page: "Page", service: Any, photo_path: Path) -> None:
    scores = {"three": 119.69109, "one": 7.125, "none": 0.25, "two": -3.2}
    top = [{"label": label, "score": score} for label, score in scores.items()]
    answer = LONG_ANSWER | {"predictions": [{**top[0], "top": top}]}
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(json=answer))
    page.set_input_files("#image", photo_path)
    reach(page, "done")
    assert [row["text"] for row in shown_scores(page)] == ["119.69", "7.125", "0.25", "-3.2"]
    assert page.text_content("#score") == "119.69"
    assert "three, 119.69, in" in page.text_content("#status")
    assert not page.is_visible(".bar"), "a bar would show a part of a whole"
    keep_screenshot(page, "numbers")

    # as the 32 bits of a softmax may have it
    certain = [{"label": "three", "score": 1.0000001}, {"label": "one", "score": 0.0}]
    page.unroute("**/predict")
    page.route("**/predict", lambda route: route.fulfill(json=answer | {"predictions": [{"top": certain}]}))
    page.set_input_files("#image", photo_path)
    until(page, "document.querySelectorAll('#scores li').length === 2 && document.body.dataset.state === 'done'")
    assert [row["text"] for row in shown_scores(page)] == ["100.0%", "0.0%"]
    assert page.is_visible(".bar")


def test_tab_reaches_every_control_and_shows_where_it_is(page: "Page", service: Any) -> None:
    page.goto(home(service))
    assert page.evaluate("image.labels[0].textContent") == "Choose a photo"
    seen = []
    for _ in range(2):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id"))
        marked = "#choose" if seen[-1] == "image" else "#copy"
        assert page.eval_on_selector(marked, "(node) => getComputedStyle(node).outlineStyle") == "solid"
    assert seen == ["image", "copy"]


def test_tab_reaches_the_retry(page: "Page", service: Any, photo_path: Path) -> None:
    page.goto(home(service))
    page.route("**/predict", lambda route: route.fulfill(status=200, body="?"))
    page.set_input_files("#image", photo_path)
    reach(page, "failed")
    page.focus("#image")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "retry"


def test_reduced_motion(new_page: Callable[..., "Page"], service: Any, photo_path: Path) -> None:
    count = "document.getAnimations().length"
    for setting, moves in (("no-preference", True), ("reduce", False)):
        page = new_page(reduced_motion=setting)
        page.add_init_script("window.fetch = () => new Promise(() => {})")
        page.goto(home(service))
        page.set_input_files("#image", photo_path)
        reach(page, "busy")
        assert (page.evaluate(count) > 0) is moves


def test_dark_mode(new_page: Callable[..., "Page"], service: Any) -> None:
    brightness = {}
    for scheme in ("light", "dark"):
        page = new_page(color_scheme=scheme)
        page.goto(home(service))
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness[scheme] = sum(int(part) for part in re.findall(r"\d+", colour)[:3]) / 3
    assert brightness["light"] > 200
    assert brightness["dark"] < 50


# ---- How it is served ------------------------------------------------------------------------------------------------


def test_behind_a_prefix(page: "Page", prefixed_service: Any, photo_path: Path) -> None:
    prefix = urlsplit(home(prefixed_service)).path
    assert prefix != "/"
    paths: list[str] = []
    page.on("request", lambda sent: None if sent.url.startswith("blob:") else paths.append(urlsplit(sent.url).path))
    page.goto(home(prefixed_service))
    page.set_input_files("#image", photo_path)
    reach(page, "done")
    assert_shows(page, ask_directly(page, prefixed_service, photo_path.name, photo_path.read_bytes()).json())
    assert {
        f"{prefix}static/demo.css",
        f"{prefix}static/demo.js",
        f"{prefix}static/dropped.js",
        f"{prefix}predict",
    } <= set(paths)
    assert [path for path in paths if not path.startswith(prefix)] == []
    assert page.text_content("#curl").endswith(f" {home(prefixed_service)}predict")


def test_content_security_policy(page: "Page", service: Any) -> None:
    policy = page.goto(home(service)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy


def test_form_without_javascript(new_page: Callable[..., "Page"], service: Any, photo_path: Path) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(home(service))
    page.get_by_label("Choose a photo").set_input_files(photo_path)
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name="Ask the model").click()
    answer = navigation.value.json()
    direct = ask_directly(page, service, photo_path.name, photo_path.read_bytes()).json()
    assert answer["predictions"][0]["label"] == direct["predictions"][0]["label"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width", "height"), [("desktop", 1280, 860), ("phone", 375, 667)])
def test_screenshot(
    new_page: Callable[..., "Page"],
    service: Any,
    photo_path: Path,
    scheme: str,
    device: str,
    width: int,
    height: int,
) -> None:
    page = new_page(viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=device == "phone")
    page.goto(home(service))
    page.set_input_files("#image", photo_path)
    reach(page, "done")
    until(page, "document.querySelector('#preview').naturalWidth > 0")
    picture = keep_screenshot(page, f"{device}-{scheme}")
    # A blank page has one colour.
    assert len(Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1 << 24)) > 100
