"""The launcher, in a copy of the checkout with a stand-in for Python: no network, nothing installed."""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]

# All that the launcher may call. The path holds these and nothing else, so that the machine's own Pythons stay out.
TOOLS = ["bash", "cat", "chmod", "cp", "cut", "dirname", "flock", "grep", "id", "mkdir", "mktemp", "readlink", "rm"]
TOOLS += ["rmdir", "sha256sum", "shasum", "sleep", "tail"]

# Answers as `python`, `python -m venv` and `python -m pip` would, and writes down what it was asked for.
PYTHON = """#!/bin/sh
case $1 in
    -I) echo VERSION ;;
    -c) exit 0 ;;
    deploy/run.py)
        shift
        echo "pid=$$"
        echo "cwd=$PWD"
        [ -z "${KILN_PLATFORM:-}" ] || echo "platform=$KILN_PLATFORM"
        for argument; do echo "argument=$argument"; done
        exit "${EXIT:-0}"
        ;;
    -m)
        case $2 in
            venv)
                echo "venv ${3##*/}" >>"$LOG"
                mkdir -p "$3/bin"
                cp "$0" "$3/bin/python"
                ;;
            pip)
                again=
                for file; do case $file in --force-reinstall) again="$file " ;; esac; done
                echo "pip $again$file" >>"$LOG"
                case ${PIP:-} in
                    fail) echo "ERROR: the network is down"; exit 1 ;;
                    hang) sleep 60 ;;
                    wait) until [ -e "$LOG.go" ]; do sleep 0.1; done ;;
                esac
                ;;
            compileall) echo "$*" >>"$LOG.compiled" ;;
            *)
                shift
                echo "$*" >>"$LOG"
                echo "$*"
                case " ${FAILING:-} " in *" $1 "*) exit 3 ;; esac
                ;;
        esac
        ;;
esac
"""


@dataclass
class Checkout:
    """A copy of the launcher and of the requirements, with a path of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "kiln checkout"  # a space, because someone's folder has one

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def log(self) -> list[str]:
        """What Python was asked for so far."""
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def add_program(self, name: str, script: str = "#!/bin/sh\n") -> Path:
        program = self.bin / name
        program.write_text(script)
        program.chmod(0o755)
        return program

    def add_python(self, name: str, version: str) -> Path:
        return self.add_program(name, PYTHON.replace("VERSION", version))

    def popen(self, *arguments: str, launcher: Path | None = None, cwd: Path | None = None, **env: str):
        return subprocess.Popen(
            [launcher or self.root / "kiln", *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.bin), "LOG": str(self.folder / "log"), **self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        process = self.popen(*arguments, **options)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 60
        while line not in self.log:
            assert time.monotonic() < deadline, f"never came to: {line}"
            time.sleep(0.02)


@pytest.fixture
def bare(tmp_path):
    """A checkout on a machine without Python."""
    checkout = Checkout(tmp_path)
    checkout.root.mkdir()
    checkout.bin.mkdir()
    shutil.copy(ROOT / "kiln", checkout.root)
    shutil.copytree(ROOT / ".ci", checkout.root / ".ci")
    (checkout.root / "requirements").mkdir()
    for file in ("requirements.txt", "requirements/serve.txt", "requirements/train.txt"):
        (checkout.root / file).write_text(f"# {file}\n")
    for tool in TOOLS:
        if found := shutil.which(tool):
            (checkout.bin / tool).symlink_to(found)
    return checkout


@pytest.fixture
def checkout(bare):
    """A checkout on a machine that has all that it needs."""
    bare.add_python("python3", "3.12")
    bare.add_program("nginx")
    bare.add_program("chromium")
    bare.add_program("wrk")
    for tool in ("mmdebstrap", "systemd-nspawn", "ip"):
        bare.add_program(tool)
    bare.add_program("java")
    bare.add_program("mvn")
    return bare


COMMANDS = (
    "run",
    "serve",
    "models",
    "keys",
    "doctor",
    "test",
    "check",
    "bench",
    "load",
    "plan",
    "build",
    "train",
    "bake",
)
COMMANDS += ("lock", "audit", "conform", "help")
SERVE = ["venv .venv", "pip requirements/serve.txt"]
FULL = ["venv .venv", "pip requirements.txt"]


# --- The file itself


@pytest.mark.parametrize("shell", [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"]])
def test_is_valid_in_every_posix_shell(shell):
    if not shutil.which(shell[0]):
        shell = ["sh"]
    result = subprocess.run([*shell, "-n", ROOT / "kiln"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_is_executable_and_ci_does_no_more_than_call_it():
    assert os.access(ROOT / "kiln", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec ./kiln test")


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "file", ["requirements.txt", *(f"requirements/{name}.txt" for name in ("serve", "tracing", "keras", "train"))]
)
def test_requirements_are_pinned_by_hash_and_name_no_registry(file):
    text = (ROOT / file).read_text()
    assert "./kiln lock" in text.splitlines()[1]
    for requirement in re.findall(r"^[^\s#].*(?:(?<=\\)\n.*)*", text, re.MULTILINE):
        assert re.match(r"[a-z0-9.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not re.search(r"https?:|--(extra-)?index|--find-links|--trusted-host", text)


def test_requirements_agree_with_each_other():
    full = pins("requirements.txt")
    for extra in ("tracing", "keras"):
        assert pins("requirements/serve.txt").items() <= pins(f"requirements/{extra}.txt").items() <= full.items()
    train = pins("requirements/train.txt")
    assert {name: train[name] for name in train.keys() & full.keys()} == {
        name: full[name] for name in train.keys() & full.keys()
    }


def test_a_serving_machine_gets_no_tensorflow():
    heavy = {"tensorflow", "keras", "torch", "pytest", "matplotlib", "h5py", "grpcio"}
    assert not heavy & pins("requirements/serve.txt").keys()


# --- Commands


@pytest.mark.parametrize("arguments", [[], ["help"], ["-h"], ["--help"]])
def test_help_needs_nothing(bare, arguments):
    result = bare.run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    for command in COMMANDS:
        assert f"./kiln {command}" in result.stdout
    assert len(result.stdout.splitlines()) < 24


def test_what_is_said_of_python_is_what_is_taken(bare):
    script = (ROOT / "kiln").read_text()
    serve, full = (re.search(rf"^{name}=(\d+) ", script, re.MULTILINE)[1] for name in ("SERVE_MAX", "FULL_MAX"))
    said = " ".join(bare.run("help").stdout.split())
    assert f"3.11 to 3.{full}, the newest for TensorFlow; 3.{serve} will do for run" in said
    assert (
        f"3.12 or 3.{full}; for `./kiln run` without the engine `keras`, 3.{serve} will do"
        in (ROOT / "README.md").read_text()
    )


@pytest.mark.parametrize("command", ["server", "", "do_run", "--version"])
def test_unknown_command(bare, command):
    result = bare.run(command)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"unknown command '{command}'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_run_becomes_the_server(checkout):
    process = checkout.popen("run", "--name", "two words", "", "*", EXIT="7")
    out, _ = process.communicate(timeout=60)
    assert out.splitlines() == [
        f"pid={process.pid}",  # the same process, so signals reach the server itself
        f"cwd={checkout.root}",
        "argument=--name",
        "argument=two words",
        "argument=",
        "argument=*",
    ]
    assert process.returncode == 7


def test_serve_is_run_as_sagemaker_calls_it(checkout):
    result = checkout.run("serve")
    assert result.stdout.splitlines()[1:] == [f"cwd={checkout.root}", "platform=sagemaker"]
    result = checkout.run("serve", "--port", "9", KILN_PLATFORM="vertex")
    assert result.stdout.splitlines()[2:] == ["platform=vertex", "argument=--port", "argument=9"]


def test_works_from_another_folder_and_through_links(checkout, tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(checkout.root / "kiln")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for launcher in (checkout.root / "kiln", tmp_path / "one", Path("../one")):
        result = checkout.run("run", launcher=launcher, cwd=elsewhere)
        assert f"cwd={checkout.root}" in result.stdout.splitlines()
    assert list(elsewhere.iterdir()) == []
    assert checkout.log == SERVE


def test_cdpath_of_the_caller_does_not_mislead(checkout, tmp_path):
    (tmp_path / "trap" / "kiln checkout").mkdir(parents=True)
    result = checkout.run("run", launcher=Path("kiln checkout/kiln"), cwd=tmp_path, CDPATH=str(tmp_path / "trap"))
    assert f"cwd={checkout.root}" in result.stdout.splitlines()


def test_train_has_an_environment_of_its_own(checkout):
    result = checkout.run("train", "--epochs", "1")
    assert result.stdout == "model.training --epochs 1\n"
    assert checkout.log == ["venv .venv-train", "pip requirements/train.txt", "model.training --epochs 1"]


def test_models_needs_no_more_than_serving_does(checkout):
    result = checkout.run("models", "use", "pets", "2", "--label", "two words")
    assert result.stdout == "model.cli use pets 2 --label two words\n"
    assert checkout.log == [*SERVE, "model.cli use pets 2 --label two words"]


@pytest.mark.parametrize(
    ("command", "arguments", "module"),
    [("keys", ["add", "two words"], "app.keys"), ("doctor", ["--json"], "deploy.doctor")],
)
def test_what_a_serving_machine_runs_needs_no_more_than_serving_does(checkout, command, arguments, module):
    said = f"{module} {' '.join(arguments)}"
    assert checkout.run(command, *arguments).stdout == f"{said}\n"
    assert checkout.log == [*SERVE, said]


def test_audit_has_an_environment_of_its_own_and_looks_at_the_pinned_requirements(checkout):
    asked = "pip_audit --strict --disable-pip --require-hashes -r requirements.txt -r requirements/serve.txt"
    version = re.search(r"^AUDIT_VERSION=(\S+)", (ROOT / "kiln").read_text(), re.M)[1]
    for _ in range(2):
        assert checkout.run("audit", "--format", "json").stdout == f"{asked} --format json\n"
    said = f"{asked} --format json"
    assert checkout.log == ["venv .venv-audit", f"pip pip-audit=={version}", said, said]


def test_bench(checkout):
    checkout.run("bench", "--seconds", "3")
    assert checkout.log == [*FULL, "loadtest.bench --seconds 3"]


@pytest.mark.parametrize("command", ["load", "plan"])
def test_load_and_plan(checkout, command):
    checkout.run(command, "--peak", "two words")
    assert checkout.log == [*FULL, f"loadtest.{command} --peak two words"]


def test_conform_and_the_servers_to_compare_with(checkout):
    checkout.run("conform", "http://host", "--model", "two words")
    checkout.run("conform", "--reference", "mlserver", "--port", "1")
    judged = ["tests.conformance http://host --model two words", "tests.conformance.reference mlserver --port 1"]
    assert checkout.log == [*FULL, *judged]


def test_build_has_all_that_it_needs_and_knows_where_the_caller_stands(checkout, tmp_path):
    result = checkout.run("build", "my model.keras", "--name", "pets", cwd=tmp_path)
    assert result.stdout == "model.build my model.keras --name pets\n"
    assert checkout.log == [*FULL, "model.build my model.keras --name pets"]


def bake_stub(checkout):
    script = checkout.root / "deploy/image/bake.sh"
    script.parent.mkdir(parents=True)
    script.write_text('#!/bin/sh\nfor argument; do echo "argument=$argument"; done\nexit 5\n')
    script.chmod(0o755)


def test_bake_needs_no_python(bare):
    bake_stub(bare)
    result = bare.run("bake", "--target", "packer", "--out", "two words")
    assert result.stdout.splitlines() == [f"argument={word}" for word in ("--target", "packer", "--out", "two words")]
    assert (result.returncode, result.stderr, bare.log) == (5, "", [])


def test_bake_says_what_a_target_needs(bare):
    bake_stub(bare)

    def missing(*options):
        return re.findall(r"apt-get install ([a-z0-9-]+)", bare.run("bake", *options).stderr)

    assert missing("--target", "rootfs") == ["mmdebstrap", "systemd-container"]
    # What lies in /usr/sbin is found whatever the path.
    assert {"mmdebstrap", "systemd-container", "mtools", "qemu-utils"} <= set(missing("--target", "qcow2"))
    assert "qemu-system-x86" in missing("--target", "qcow2", "--boot-test")


LINT = ["ruff check --quiet .", "ruff format --check --quiet .", "mypy --no-error-summary"]
QUICK = "pytest -m not slow tests/unit tests/http"


@pytest.mark.parametrize(("command", "pytest_line"), [("test", "pytest"), ("check", QUICK)])
@pytest.mark.parametrize(("failing", "status"), [("", 0), ("ruff", 1), ("mypy", 1), ("pytest", 3), ("ruff pytest", 3)])
def test_all_is_checked_and_pytest_comes_last(checkout, command, pytest_line, failing, status):
    result = checkout.run(command, FAILING=failing)
    assert checkout.log == [*FULL, *LINT, pytest_line]
    assert result.stdout.splitlines()[-1] == pytest_line
    assert result.returncode == status


def test_arguments_of_test_go_to_pytest_alone(checkout):
    result = checkout.run("test", "-k", "this or that", FAILING="pytest")
    assert checkout.log == [*FULL, "pytest -k this or that"]
    assert result.returncode == 3


def test_ci_runs_the_tests(checkout, tmp_path):
    checkout.bin.joinpath("env").symlink_to(shutil.which("env"))
    result = checkout.run(launcher=checkout.root / ".ci/run", cwd=tmp_path)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "pytest")


def test_an_ordinary_user_is_told_of_missing_programs(checkout):
    (checkout.bin / "chromium").unlink()
    (checkout.bin / "id").unlink()
    checkout.add_program("id", "#!/bin/sh\necho 1000\n")
    checkout.add_program("apt-get", "#!/bin/sh\necho apt-get >>$LOG\n")
    result = checkout.run("test", "-q")
    assert "chromium is missing (Debian: apt-get install chromium): browser tests are skipped." in result.stderr
    assert "apt-get" not in checkout.log
    assert result.returncode == 0


# --- Which Python


def test_no_suitable_python(bare):
    bare.add_python("python3", "3.9")
    bare.add_python("python3.14", "3.15")
    bare.add_program("python3.13", "#!/bin/sh\nexit 127\n")  # a version manager's placeholder
    result = bare.run("run")
    assert result.returncode == 1
    assert "No Python 3.11 to 3.14 found." in result.stderr.splitlines()[-1]
    assert "KILN_PYTHON=" in result.stderr
    assert "not found\n" not in result.stderr
    assert not (bare.root / ".venv").exists()


def test_passes_over_a_python_that_is_too_old(bare):
    bare.add_python("python3", "3.9")
    bare.add_python("python3.11", "3.11")
    assert bare.run("run").returncode == 0
    assert "echo 3.11" in (bare.root / ".venv/bin/python").read_text()


def test_tensorflow_needs_an_older_python_than_serving(bare):
    bare.add_python("python3", "3.14")
    assert bare.run("run").returncode == 0
    result = bare.run("test")
    assert result.returncode == 1
    assert "No Python 3.11 to 3.13 found." in result.stderr

    bare.add_python("python3.13", "3.13")
    bare.add_program("nginx")
    bare.add_program("chromium")
    bare.add_program("java")
    bare.add_program("mvn")
    assert bare.run("test", "-q").returncode == 0
    assert bare.log == [*SERVE, *FULL, "pytest -q"]


def test_the_python_asked_for_is_taken_or_refused(checkout):
    other = checkout.add_python("other", "3.13")
    assert checkout.run("run").returncode == 0
    assert checkout.run("run", KILN_PYTHON=str(other)).returncode == 0
    assert checkout.run("run", KILN_PYTHON="../bin/other").returncode == 0
    assert "echo 3.13" in (checkout.root / ".venv/bin/python").read_text()
    assert checkout.log == [*SERVE, *SERVE]

    checkout.add_python("other", "3.10")
    result = checkout.run("run", KILN_PYTHON=str(other))
    assert result.returncode == 1
    assert f"KILN_PYTHON={other} is not a working Python" in result.stderr


# --- Set-up, once


def test_set_up_happens_once(checkout):
    first = checkout.run("run")
    assert first.stderr == "kiln: Setting up (first run, about a minute) ...\n"
    assert checkout.run("run").stderr == ""
    assert checkout.log == SERVE
    assert (checkout.folder / "log.compiled").read_text() == "-m compileall -q api.py app model deploy\n"


def test_changed_requirements_are_installed(checkout):
    checkout.run("run")
    (checkout.root / "requirements/serve.txt").write_text("# newer\n")
    checkout.run("run")
    checkout.run("run")
    assert checkout.log == [*SERVE, "pip requirements/serve.txt"]


def test_the_full_set_serves_too_and_the_small_one_grows(checkout):
    checkout.run("run")
    checkout.run("test", "-q")
    checkout.run("run")
    assert checkout.log == [*SERVE, "pip requirements.txt", "pytest -q"]


@pytest.mark.parametrize("arguments", [["--engine", "keras"], ["--port", "1", "--engine=keras"]])
def test_the_keras_engine_gets_tensorflow(checkout, arguments):
    checkout.run("run", *arguments)
    checkout.run("run", "--engine", "litert")
    assert checkout.log == FULL


def test_the_keras_engine_may_be_a_setting(checkout):
    checkout.run("run", "--engine=litert", KILN_ENGINE="keras")  # an option overrides a setting
    assert checkout.log == SERVE
    checkout.run("run", KILN_ENGINE="keras")
    assert checkout.log == [*SERVE, "pip requirements.txt"]


def test_other_engines_do_not(checkout):
    checkout.run("run", "--engine", "litert", "--name", "keras")
    assert checkout.log == SERVE


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_bundle_that_only_keras_can_run_gets_tensorflow(checkout, tmp_path, how):
    bundle = tmp_path / "bundles" / "text" / "1"
    bundle.mkdir(parents=True)
    (bundle / "bundle.json").write_text('{\n  "default_engine": "keras"\n}\n')
    if how == "option":
        checkout.run("run", "--store", "bundles", cwd=tmp_path)
    else:
        checkout.run("run", KILN_STORE=str(tmp_path / "bundles"))
    assert checkout.log == FULL


def test_a_failed_set_up_says_why_and_is_done_again(checkout):
    result = checkout.run("run", PIP="fail")
    assert (result.returncode, result.stdout) == (1, "")
    assert "ERROR: the network is down" in result.stderr
    assert "pip could not install requirements/serve.txt" in result.stderr.splitlines()[-1]
    assert checkout.run("run").returncode == 0
    assert checkout.log == [*SERVE, *SERVE]  # what a failure left behind is not trusted


@pytest.mark.parametrize("when", ["first", "update"])
def test_an_interrupted_set_up_starts_anew(checkout, when):
    if when == "update":
        checkout.run("run")
        (checkout.root / "requirements/serve.txt").write_text("# newer\n")
        (checkout.folder / "log").unlink()
    process = checkout.popen("run", PIP="hang")
    checkout.wait_for("pip requirements/serve.txt")
    os.killpg(process.pid, signal.SIGKILL)  # as if the power went: no clean-up of any kind
    process.communicate(timeout=60)
    (checkout.folder / "log").unlink()
    assert checkout.run("run").returncode == 0
    assert checkout.log == SERVE


def test_what_serves_goes_on_when_the_growth_of_its_environment_is_interrupted(checkout):
    checkout.run("run")
    process = checkout.popen("test", "-q", PIP="hang")
    checkout.wait_for("pip requirements.txt")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    (checkout.folder / "log").unlink()
    assert checkout.run("run").returncode == 0
    assert checkout.log == []  # nothing was made anew under what runs
    checkout.run("test", "-q")
    assert checkout.log == ["pip --force-reinstall requirements.txt", "pytest -q"]
    (checkout.folder / "log").unlink()
    (checkout.root / "requirements.txt").write_text("# newer\n")
    checkout.run("test", "-q")
    assert checkout.log == ["pip requirements.txt", "pytest -q"]


@pytest.mark.parametrize("lock", ["flock", "mkdir"])
def test_two_at_once_set_up_once(checkout, lock):
    if lock == "mkdir":
        (checkout.bin / "flock").unlink(missing_ok=True)
    first = checkout.popen("run", PIP="wait")
    checkout.wait_for("venv .venv")
    second = checkout.popen("run", PIP="wait")
    assert "Another set-up is running" in second.stderr.readline()
    (checkout.folder / "log.go").touch()
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert checkout.log == SERVE
    assert not (checkout.root / ".venv.lock.d").exists()


def test_a_moved_checkout_is_set_up_again(checkout, tmp_path):
    checkout.run("run")
    moved = tmp_path / "moved"
    checkout.root.rename(moved)
    result = checkout.run("run", launcher=moved / "kiln", cwd=tmp_path)
    assert f"cwd={moved}" in result.stdout
    assert checkout.log == [*SERVE, *SERVE]


@pytest.mark.parametrize("change", ["gone", "dangling", "upgraded"])
def test_a_broken_environment_is_made_again(checkout, change):
    checkout.run("run")
    python = checkout.root / ".venv/bin/python"
    if change == "upgraded":  # the system's Python became another version: its packages are elsewhere
        python.write_text(PYTHON.replace("VERSION", "3.13"))
    else:
        python.unlink()
    if change == "dangling":
        python.symlink_to("/nowhere/python3")
    assert checkout.run("run").returncode == 0
    assert checkout.run("run").returncode == 0
    assert checkout.log == [*SERVE, *SERVE]
