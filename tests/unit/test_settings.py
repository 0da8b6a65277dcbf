"""The table of settings: defaults, parsing, every problem at once, and the README in step with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import settings, settings_page
from deploy.run import OPTIONS
from loadtest.key import VARIABLE
from model import engines

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


def test_defaults_hold_without_any_variable() -> None:
    config = settings.read({})
    assert (config.port, config.workers, config.model, config.engine) == (8000, 0, "catdog", "")
    assert config.store == ROOT / "model" / "store"


def test_variables_override_defaults() -> None:
    config = settings.read({"KILN_PORT": "9", "KILN_MAX_PIXELS": "1_000", "KILN_ACCESS_LOG": "yes", "PATH": "/bin"})
    assert (config.port, config.max_pixels, config.access_log) == (9, 1000, True)


def test_false_is_false() -> None:
    assert settings.read({"KILN_ACCESS_LOG": "false"}).access_log is False


def test_models_are_a_list_that_holds_the_default() -> None:
    config = settings.read({"KILN_MODELS": "pets, catdog,", "KILN_MODEL": "pets"})
    assert config.models == ("pets", "catdog")
    assert settings.read({"KILN_MODELS": ""}).models == ()
    with pytest.raises(settings.SettingsError, match="KILN_MODEL='catdog' must be one of KILN_MODELS='pets,lions'"):
        settings.read({"KILN_MODELS": "pets,lions"})


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("[::]", "[::]:8000"), ("node.local", "node.local:8000")],
)
def test_the_address_is_as_gunicorn_takes_it(host: str, address: str) -> None:
    assert settings.read({"KILN_HOST": host}).address == address
    assert settings.read({"KILN_HOST": host, "KILN_BIND": "unix:/run/k"}).address == "unix:/run/k"


def test_every_problem_is_named_at_once() -> None:
    wrong = {"KILN_PORT": "70000", "KILN_ENGINE": "abacus", "KILN_ACCESS_LOG": "maybe", "KILN_WROKERS": "3"}
    with pytest.raises(settings.SettingsError) as caught:
        settings.read(wrong)
    for part in (
        "KILN_PORT='70000'",
        "1 to 65535",
        "litert, onnx, keras",
        "true or false",
        "KILN_WROKERS is not a setting",
    ):
        assert part in str(caught.value)


@given(
    st.dictionaries(st.sampled_from([settings.variable(f) for f in fields(settings.Settings)]), st.text(max_size=12))
)
def test_any_text_is_taken_or_refused_clearly(environment: dict[str, str]) -> None:
    try:
        settings.read(environment)
        message = "Wrong settings: KILN_"
    except settings.SettingsError as error:
        message = str(error)
    assert message.startswith("Wrong settings: KILN_")


def test_the_readme_lists_every_setting_with_its_default_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(KILN_\w+)` \|\s*`?([^|`]*)`?\s*\|", (ROOT / "README.md").read_text(), re.M))
    declared = {settings.variable(f): f for f in fields(settings.Settings)}
    assert set(rows) == set(declared)
    for name, default in rows.items():
        value = declared[name].default
        value = "all" if name == "KILN_DIALECTS" else ",".join(value) if isinstance(value, tuple) else value
        shown = "model/store" if name == "KILN_STORE" else str(value).lower() if isinstance(value, bool) else str(value)
        assert default.strip() == shown, name


def test_the_page_of_settings_is_what_is_declared() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page.text()
    for name in ("an integer from 5 to 3600", "an integer from 64 to 170000000", "litert-int8", "true or false"):
        assert name in settings_page.text()


def test_the_readme_names_the_options_of_run() -> None:
    [said] = re.findall(r"`./kiln run` takes (.*) as options", (ROOT / "README.md").read_text())
    assert tuple(re.split(r", | and ", said)) == OPTIONS


def test_the_engines_are_those_that_there_are() -> None:
    assert settings.ENGINES == engines.NAMES


def test_workers_and_engine_threads_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.cores, "usable", lambda: 8)
    assert settings.Settings().worker_count() == 8
    assert settings.Settings().engine_thread_count() == 1
    assert settings.Settings(workers=2).engine_thread_count() == 4
    assert settings.Settings(workers=3).engine_thread_count() == 2
    assert settings.Settings(workers=20).engine_thread_count() == 1
    assert settings.Settings(workers=2, engine_threads=3).engine_thread_count() == 3


def test_the_help_of_run_tells_each_option_s_own_default() -> None:
    environment = {**os.environ, "COLUMNS": "300"}
    command = [sys.executable, "deploy/run.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    told = dict(re.findall(r"^ +--(\w+) .*\(default: (.*)\)$", done.stdout, re.M))
    assert {"host", "port", "workers", "engine", "store"} <= told.keys()
    for name, default in told.items():
        assert default == (str(getattr(settings.Settings, name)) or "empty"), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "no-such-host.invalid"], "Choose another with --host."),
        (["--host", "192.0.2.1"], "Choose another with --host."),  # of an example net, nobody's
        (["--eng", "keras"], "unrecognized arguments: --eng keras"),  # the launcher knows whole names alone
    ],
)
def test_run_says_which_option_is_wrong(options: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, "deploy/run.py", *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert message in done.stderr


def test_the_key_of_the_load_tests_is_no_setting() -> None:
    assert vars(settings.read({VARIABLE: "kiln_secret"})) == vars(settings.read({}))
