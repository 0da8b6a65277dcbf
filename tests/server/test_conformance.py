"""The conformance kit against real servers: ours, other people's, and a stand-in whose faults it has to find.

Where a real server differs is in the tables of docs/conformance.md, and nowhere else.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import requests

from app import settings
from model.preprocess import Preprocessing
from tests import conformance, servers, tf_serving_stand_in
from tests.conformance.__main__ import main
from tests.conformance.checks import Verdict
from tests.conformance.reference.servers import KSERVE, MLSERVER, Reference
from tests.conformance.report import Judgement
from tests.conformance.server import Server
from tests.conformance.subject import Facts, Subject
from tests.servers import ROOT

pytestmark = pytest.mark.server

FACTS = ROOT / "tests" / "conformance" / "facts"
DOCS = ROOT / "docs" / "conformance.md"


def judged(
    url: str,
    model: str,
    *,
    photo: bytes = b"",
    extensions: tuple[str, ...] = (),
    may_unload: bool = False,
    only: Sequence[str] | None = None,
) -> dict[str, Judgement]:
    """Every dialect's judgement, or that of some, by its name."""
    path = FACTS / f"{KNOWN_AS.get(model, model)}.json"
    facts = Facts.read(path) if path.exists() else Facts()
    subject = Subject(Server(url), model, facts, photo, frozenset(extensions), may_unload)
    return {judgement.dialect.name: judgement for judgement in conformance.judge(subject, only)}


def differing(judgement: Judgement) -> dict[str, str]:
    """What differs, with what was seen."""
    return {r.check.id.partition(".")[2]: r.seen for r in judgement.results if r.verdict is Verdict.DIFFERS}


def listed(server: str, dialect: str, model: str) -> set[str]:
    """What docs/conformance.md says that differs."""
    section = re.search(
        rf"^### {re.escape(server)}: {dialect}\n(.*?)(?=^##|\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL
    )
    if not section:
        return set()
    cells = re.findall(r"^\| (`.*?) \| .+ \|$", section[1], re.MULTILINE)
    assert cells, f"no table for {server}: {dialect}"
    found = re.findall(r"`([\w.]+)`(?: \(([\w-]+)\))?", " ".join(cells))
    return {check for check, only in found if only in ("", model)}


def assert_as_listed(server: str, model: str, judgements: dict[str, Judgement]) -> None:
    for name, judgement in judgements.items():
        seen, known = differing(judgement), listed(server, name, model) if judgement.offered else set()
        asked = {r.check.id.partition(".")[2] for r in judgement.results if r.verdict is not Verdict.NOT_APPLICABLE}
        news = {check: seen[check] for check in seen.keys() - known}
        assert not news, f"{server} differs in {name} with {model}, and docs/conformance.md does not say so"
        gone = known & asked - seen.keys()
        assert not gone, f"{server} no longer differs in {name} with {model}: mend docs/conformance.md"


def test_the_tables_name_checks_that_there_are():
    text = DOCS.read_text()
    sections = re.findall(r"^### (.+): (\w+)$", text, re.MULTILINE)
    dialects = {dialect.name: dialect for dialect in conformance.DIALECTS}
    named = 0
    for server, name in sections:
        for model in ("half_plus_two", "two", "pets"):
            for check in listed(server, name, model):
                assert f"{name}.{check}" in {found.id for found in dialects[name].checks}
                named += 1
    assert named
    assert f"## MLServer {MLSERVER.version}" in text
    assert f"## KServe {KSERVE.version}" in text


# --- The stand-in ---------------------------------------------------------------------------------------------------

FAULTS = {
    "oldest first": {"status.order"},
    "version a number": {"status.model", "status.available", "status.version"},
    "404 for malformed": {"routes.malformed_0", "routes.malformed_12"},
    "no gzip": {"predict.gzip"},
    "text is 500": {"refuses.text", "pairs"},
    "wrong in batches": {"predict.answers", "predict.batch", "pairs"},
    "more in errors": {"status.unknown_model", "refuses.empty", "routes.order"},
    "html errors": {"status.unknown_model", "refuses.empty", "routes.order", "pairs"},
    "strict about what follows": {"predict.trailing"},
    "drops a prediction": {"predict.rows", "pairs"},
    "hangs up on null": {"refuses.null"},
}


def test_a_server_that_does_all_right_passes(capsys):
    with tf_serving_stand_in.serving() as server:
        arguments = [server.url, "--model", "half_plus_two", "--facts", str(FACTS / "half_plus_two.json")]
        assert main(arguments) == 0
        assert "TensorFlow Serving REST (tf_serving): 7" in capsys.readouterr().out
        assert main([*arguments, "--only", "tf_serving"]) == 0
        assert main([*arguments, "--only", "tf_serving", "kserve_v1"]) == 1  # asked for, and not offered
        judgement = judged(server.url, "half_plus_two")["tf_serving"]
    assert differing(judgement) == {}


@pytest.mark.parametrize("fault", tf_serving_stand_in.FAULTS)
def test_every_fault_is_found(fault):
    with tf_serving_stand_in.serving(fault) as server:
        found = differing(judged(server.url, "half_plus_two")["tf_serving"])
    assert FAULTS[fault] <= found.keys()
    if len(FAULTS[fault]) == 1:
        assert FAULTS[fault] == found.keys()


def test_nothing_at_all_is_not_conformance(capsys, tmp_path):
    with tf_serving_stand_in.serving() as server:
        assert main([server.url, "--model", "another", "--json", str(tmp_path / "found.json")]) == 1
    assert "not offered" in capsys.readouterr().out
    assert (tmp_path / "found.json").exists()


# --- Ours -----------------------------------------------------------------------------------------------------------

MODELS = ("half_plus_two", "two", "iris", "words", "sequence", "bools", "pets")
# Kinds that the kit must not take for faults of the server.
ODD = {
    "scalar_int64": lambda bundles: bundles.echo("int64", ()),
    "scalar_float32": lambda bundles: bundles.echo("float32", ()),
    "scalar_bool": lambda bundles: bundles.echo("bool", ()),
    "scalar_float16": lambda bundles: bundles.echo("float16", ()),
    "half": lambda bundles: bundles.echo("float16"),
    "halves": lambda bundles: bundles.halves(),
    "double": lambda bundles: bundles.echo("float64", (3,)),
    "uint8": lambda bundles: bundles.echo("uint8"),
    "uint64": lambda bundles: bundles.echo("uint64", (1,)),
    "one_feature": lambda bundles: bundles.echo("float32", (1,)),
    "rank5": lambda bundles: bundles.echo("float32", (2, 1, 3, 2)),
    "any_size": lambda bundles: bundles.any_size(),
    "text_and_number": lambda bundles: bundles.text_and_number(),
    "odd_names": lambda bundles: bundles.odd_names(),
    "nan": lambda bundles: bundles.not_a_number(),
    "ties": lambda bundles: bundles.ties(),
    "one_at_a_time": lambda bundles: bundles.one_at_a_time(),
    "other.name-1": lambda bundles: bundles.half_plus_two(),
}
KNOWN_AS = {"other.name-1": "half_plus_two"}  # whose facts are these


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of every kind."""
    from tests import bundles  # takes Keras

    store = tmp_path_factory.mktemp("store")
    bundles.make(store, "half_plus_two", "1", bundles.half_plus_two())
    bundles.make(store, "two", "1", bundles.twice_and_sum())
    bundles.make(store, "iris", "7", bundles.dense(activation="softmax"), labels=("a", "b:c", "é"))
    bundles.make(store, "words", "1", bundles.words())
    bundles.make(store, "sequence", "1", bundles.sequence())
    bundles.make(store, "bools", "1", bundles.echo("bool"))
    for name, model in ODD.items():
        bundles.make(store, name, "1", model(bundles))
    picture = Preprocessing(height=16, width=16)
    bundles.make(store, "pets", "1", bundles.convolutional(), labels=("cat", "dog"), preprocessing=picture)
    return store


@pytest.fixture(scope="module")
def ours(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """gunicorn with all of them."""
    folder = tmp_path_factory.mktemp("ours")
    running = {"store": store, "model": "half_plus_two", "workers": 1, "load_wait": 100, "timeout": 200}
    with servers.gunicorn(folder, **running) as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", [*MODELS, *ODD])
def test_kiln(ours, photo, model):
    judgements = judged(ours.url, model, photo=photo if model == "pets" else b"")
    offered = {name for name, judgement in judgements.items() if judgement.offered}
    assert offered == judgements.keys() & set(settings.DIALECTS)
    assert_as_listed("Kiln", model, judgements)
    assert len(ours.workers()) == 1
    assert "Worker exiting" not in ours.log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", ["both", "kserve"])
def test_kiln_with_the_other_forms_of_v1(store, start_service: Callable[..., servers.Server], form):
    """One model: what differs by the setting is no model's matter."""
    running = {"store": store, "model": "half_plus_two", "models": "half_plus_two", "workers": 1, "load_wait": 100}
    server = start_service(**running, timeout=200, v1_status=form)
    judgements = judged(server.url, "half_plus_two", only=["tf_serving", "kserve_v1"])
    offered = {"kserve_v1"} if form == "kserve" else {"tf_serving", "kserve_v1"}
    assert {name for name, judgement in judgements.items() if judgement.offered} == offered
    assert_as_listed(f"Kiln with KILN_V1_STATUS={form}", "half_plus_two", judgements)


# --- Other people's -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def started(reference: Reference, folder: Path) -> Iterator[str]:
    """A reference server's URL. Skips the test where it cannot be installed."""
    try:
        reference.make()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"{reference.name} {reference.version} could not be installed: {error}")
    ports = free_ports(reference.ports)
    folder.joinpath("run").mkdir()
    command = reference.start(folder / "run", ports)
    log = folder / "log"
    url = f"http://127.0.0.1:{ports[0]}"
    with servers.running(command, log) as process:

        def up() -> bool:
            if process.poll() is not None:
                pytest.fail(f"{reference.name} ended with status {process.returncode}. It said:\n{log.read_text()}")
            with contextlib.suppress(requests.RequestException):
                return requests.get(url + reference.up, timeout=5).status_code == 200
            return False

        servers.wait_for(up, f"{reference.name} to be ready; see {log}", 120)
        yield url


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: these servers cannot be told to choose one."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(MLSERVER, tmp_path_factory.mktemp("mlserver")) as url:
        yield url


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not KSERVE.made:  # it takes minutes, and gigabytes
        pytest.skip("KServe's server is not installed: ./kiln conform --reference kserve does it")
    with started(KSERVE, tmp_path_factory.mktemp("kserve")) as url:
        yield url


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", ["half_plus_two", "two"])
def test_mlserver(mlserver, model):
    judgements = judged(mlserver, model, extensions=("model_repository",), may_unload=True)
    assert {name for name, judgement in judgements.items() if judgement.offered} == {"open_inference"}
    assert_as_listed("MLServer", model, judgements)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", [[], ["--batch-size", "3"], ["--binary-data"]], ids=" ".join)
def test_mlservers_own_client_asks_kiln(mlserver, options, service, photo, tmp_path):
    """`mlserver infer` from MLServer's environment: a line of JSON for each request, a picture each."""
    picture = base64.b64encode(photo).decode()
    asked = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [picture]}]}
    zeros = {"inputs": [{"name": "image", "shape": [1, 128, 128, 3], "datatype": "FP32", "data": [0.0] * 49152}]}
    lines, answers = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    lines.write_text("".join(json.dumps(zeros if "--binary-data" in options else asked) + "\n" for _ in range(5)))
    program = MLSERVER.python.with_name("mlserver")
    command = [
        program,
        "infer",
        "-u",
        f"127.0.0.1:{service.port}",
        "-m",
        "catdog",
        "-i",
        lines,
        "-o",
        answers,
        *options,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    scores = [answer["outputs"][0]["data"] for answer in found]
    assert len(scores) == 5
    if "--binary-data" not in options:
        assert all(cat > dog for cat, dog in scores)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", ["half_plus_two", "two"])
def test_kserve(kserve, model):
    judgements = judged(kserve, model, extensions=("binary_tensor_data",))
    assert {name for name, judgement in judgements.items() if judgement.offered} == {"kserve_v1", "open_inference"}
    assert_as_listed("KServe", model, judgements)
