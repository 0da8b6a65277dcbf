"""The demo page of a service with many models: choosing one, and those that no photo is enough for."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def home(many_service: Server) -> str:
    return f"{many_service.url}/"


def asked(page: "Page") -> list[str]:
    """A list that fills with the queries of the requests to predict."""
    queries: list[str] = []
    page.on("request", lambda sent: queries.append(urlsplit(sent.url).query) if "/predict" in sent.url else None)
    return queries


def run(line: str, folder: Path) -> dict:
    """Run a line in a shell, as it stands, and give the JSON that it prints."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, timeout=30, check=True)
    return json.loads(done.stdout)


def test_the_chosen_model_is_asked(page: "Page", home: str, photo_path: Path) -> None:
    page.goto(home)
    queries = asked(page)
    page.get_by_role("link", name="features").click()
    page.wait_for_url("**/?model=features")
    assert page.locator("[aria-current]").text_content() == "features"
    assert page.text_content("#curl") == f"curl -F image=@photo.jpg '{home}predict?model=features'"
    page.set_input_files("#image", photo_path)
    page.wait_for_selector('body[data-state="done"]')
    assert queries == ["model=features"]


def test_the_default_model_is_asked_without_its_name(page: "Page", home: str, photo_path: Path) -> None:
    page.goto(home)
    queries = asked(page)
    page.set_input_files("#image", photo_path)
    page.wait_for_selector('body[data-state="done"]')
    assert queries == [""]


@pytest.mark.parametrize(("model", "count"), [("dense", 3), ("words", 3), ("two", 2), ("embedding", 2)])
def test_the_line_of_a_model_without_labels_runs(
    page: "Page", home: str, photo_path: Path, tmp_path: Path, model: str, count: int
) -> None:
    page.goto(f"{home}?model={model}")
    shutil.copy(photo_path, tmp_path / "photo.jpg")
    answer = run(page.text_content("#curl") or "", tmp_path)
    assert answer["model"]["name"] == model
    assert len(answer["predictions"][0]) == count


def test_its_line_can_be_copied(new_page: Callable[..., "Page"], home: str) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{home}?model=two")
    page.click("#copy")
    page.wait_for_function("document.querySelector('#copy').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == page.text_content("#curl")


def test_without_javascript_the_line_shows_and_the_form_asks_the_chosen_model(
    new_page: Callable[..., "Page"], home: str, photo_path: Path
) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"{home}?model=dense")
    assert '{"instances":[[0.5,0.5,0.5,0.5]]}' in (page.text_content("#curl") or "")
    page.goto(f"{home}?model=pets&version=1")
    page.get_by_label("Choose a photo").set_input_files(photo_path)
    with page.expect_navigation() as navigation:
        page.get_by_role("button", name="Ask the model").click()
    assert navigation.value.json()["model"] == {"name": "pets", "version": "1"}


@pytest.mark.parametrize("model", ["pets", "two"])
@pytest.mark.parametrize(("device", "width", "height"), [("desktop", 1280, 860), ("phone", 375, 667)])
def test_it_fits_the_screen(
    new_page: Callable[..., "Page"], home: str, model: str, device: str, width: int, height: int
) -> None:
    page = new_page(viewport={"width": width, "height": height}, is_mobile=device == "phone")
    page.goto(f"{home}?model={model}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if keep := os.environ.get("KILN_SCREENSHOT_DIR"):
        page.screenshot(path=Path(keep) / f"{model}-{device}.png", full_page=True)
