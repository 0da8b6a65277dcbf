"""The page of docs/clients.md in a real browser, from an origin that is not the service's."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import servers
from tests.origins import allowing
from tests.servers import ROOT, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser]

WITH_KEY = """async (url) => {
  const headers = {Authorization: "Bearer kiln_none", "Content-Type": "image/jpeg"};
  return (await fetch(`${url}/predict`, {method: "POST", headers, body: "no picture"})).json();
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(origin, folder) of another server."""
    folder = tmp_path / "shop"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def opened(browser: Browser, shop: tuple[str, Path], service: Server) -> Page:
    """The document's page, for a service, as the shop has it."""
    section = (ROOT / "docs" / "clients.md").read_text().split("## JavaScript in a browser\n")[1]
    [page_text] = re.findall(r"^```html\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    origin, folder = shop
    (folder / "ask.html").write_text(page_text.replace("http://127.0.0.1:8000", service.url))
    page = browser.new_page()
    page.goto(f"{origin}/ask.html")
    return page


def answer(page: Page, photo_path: Path) -> str:
    page.set_input_files("#photo", photo_path)
    page.wait_for_function("document.querySelector('#answer').textContent")
    return page.inner_text("#answer")


def test_as_it_ships_the_page_learns_nothing(
    browser: Browser, shop: tuple[str, Path], service: Any, photo_path: Path
) -> None:
    page = opened(browser, shop, service)
    assert answer(page, photo_path) == "Failed to fetch"
    page.close()


def test_where_nginx_allows_it_the_page_answers(
    browser: Browser, shop: tuple[str, Path], photo_path: Path, tmp_path: Path
) -> None:
    servers.nginx_program()
    with (
        servers.short_folder() as run,
        servers.gunicorn(tmp_path, bind=f"unix:{run}/kiln.sock") as backend,
        servers.nginx(tmp_path, run, backend=backend, change=allowing(shop[0])) as server,
    ):
        page = opened(browser, shop, server)
        label, score = answer(page, photo_path).split()
        assert label == "cat"
        assert 0.5 < float(score) <= 1
        assert page.evaluate(WITH_KEY, server.url)["error"]["code"] == "not_an_image"  # asked for with OPTIONS first
        page.close()
