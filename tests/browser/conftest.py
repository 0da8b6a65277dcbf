"""A real Chromium for the tests of the demo page, and the watch kept on each page it opens."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that only these tests use."""
    config.addinivalue_line("markers", "expected_console(pattern): console errors that the test brings about itself")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One headless Chromium for a test module."""
    # One module at a time: playwright's sync API holds an event loop in this thread while it is open.
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: pip install playwright")
    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        pytest.skip(f"no Chromium in PATH (looked for {', '.join(CHROMIUM_NAMES)}): apt-get install chromium")
    # Chromium's sandbox refuses to run as root, and only there it is left out.
    root = os.geteuid() == 0
    args = [*CHROMIUM_ARGS, "--no-sandbox"] if root else CHROMIUM_ARGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=args, chromium_sandbox=not root)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator[Callable[..., "Page"]]:
    """Open pages with options of a browser context; fail the test on anything wrong that they report."""
    wrong: list[str] = []
    origins: set[str] = set()
    contexts = []
    marker = request.node.get_closest_marker("expected_console")
    expected = re.compile(marker.args[0]) if marker else None

    def open_page(**options: object) -> "Page":
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)  # ms, for a busy machine

        def on_console(message) -> None:
            if message.type != "error" or (expected and expected.search(message.text)):
                return
            # The browser asks for this by itself where a document names no icon, as a plain JSON answer does not.
            if urlsplit(message.location["url"]).path != "/favicon.ico":
                wrong.append(f"console error: {message.text} ({message.location['url']})")

        def on_request(sent) -> None:
            url = urlsplit(sent.url)
            if url.scheme not in ("blob", "data"):
                origins.add(f"{url.scheme}://{url.netloc}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        page.on("request", on_request)
        return page

    yield open_page
    for context in contexts:
        context.close()
    if len(origins) > 1:
        wrong.append(f"requests to more than one origin: {sorted(origins)}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def page(new_page: Callable[..., "Page"]) -> "Page":
    """A watched page of the size of a laptop screen."""
    return new_page(viewport={"width": 1280, "height": 860})
