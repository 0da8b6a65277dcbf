"""The files that make a node agree with each other and with the code."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import hcl2
import pytest

from app.settings import Settings
from deploy import reload
from tests import servers

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "deploy" / "image"
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = ("kiln.service", "kiln.socket", "kiln-logs.service", "kiln-logs.timer")
SCRIPTS = sorted(IMAGE.glob("*.sh"))


def option(file: Path, name: str) -> str:
    """The value of a line of a unit or of nginx.conf."""
    [value] = re.findall(rf"^\s*{name}\s*[= ]\s*(.*?);?(?:\s+#.*)?$", file.read_text(), re.MULTILINE)
    return value


def unit(name: str, file: str = "kiln.service") -> str:
    return option(SYSTEMD / file, name)


@functools.cache
def gunicorn(name: str) -> int:
    """What gunicorn.conf.py says on a machine, where no platform hosts it."""
    code = f"import runpy; c = runpy.run_path('deploy/gunicorn.conf.py'); c['on_exit'](None); print(c[{name!r}])"
    command, environment = [sys.executable, "-c", code], servers.clean_environment()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_each_one_waits_longer_than_what_it_waits_for() -> None:
    """Workers finish before the master gives up on them, the master before systemd does."""
    assert gunicorn("graceful_timeout") < int(unit("TimeoutStopSec")) - 5
    assert Settings().timeout < int(unit("WatchdogSec")) - 5
    assert Settings().load_wait < int(unit("TimeoutStartSec")) - 5
    assert gunicorn("graceful_timeout") < reload.WAIT_SECONDS < int(unit("TimeoutStartSec"))  # limits a reload, too


def test_nginx_and_the_service_meet_at_the_socket_that_systemd_holds() -> None:
    socket = unit("ListenStream", "kiln.socket")
    assert f"KILN_BIND=unix:{socket}" in unit("Environment")
    assert f"server unix:{socket} " in (ROOT / "deploy" / "nginx.conf").read_text()
    assert unit("SocketGroup", "kiln.socket") == option(ROOT / "deploy" / "nginx.conf", "user")


def test_the_machine_shuts_down_in_order_and_starts_without_nginx() -> None:
    """Units stop in the reverse order of their start: the service leaves while nginx serves, the socket goes last."""
    service, nginx = ((SYSTEMD / name).read_text() for name in ("kiln.service", "nginx.service.conf"))
    assert {"kiln.socket", "nginx.service"} <= set(re.findall(r"^After=(\S+)$", service, re.MULTILINE))
    assert re.findall(r"^(?:Requires|Wants|BindsTo)=(.*)$", service, re.MULTILINE) == ["kiln.socket"]
    assert "After=kiln.socket" in nginx.splitlines()
    # Else nginx would bring back a socket that was disabled.
    assert not re.search(r"^(Requires|Wants|BindsTo)=", nginx, re.MULTILINE)


def test_queues_and_files_fit() -> None:
    somaxconn = int(option(SYSTEMD / "sysctl.conf", r"net\.core\.somaxconn"))
    assert int(unit("Backlog", "kiln.socket")) <= somaxconn
    files = int(option(ROOT / "deploy" / "nginx.conf", "worker_rlimit_nofile"))
    assert int(unit("LimitNOFILE", "nginx.service.conf")) >= files


def test_what_the_units_run_is_there() -> None:
    for line in re.findall(r"^Exec\w+=(.*)$", (SYSTEMD / "kiln.service").read_text(), re.MULTILINE):
        program, *arguments = line.split()
        assert program.startswith("/opt/kiln/venv/bin/")
        for argument in arguments:
            assert not argument.startswith("deploy/") or (ROOT / argument).is_file(), line


def test_shipped_settings_are_settings() -> None:
    lines = (SYSTEMD / "kiln.env").read_text().splitlines()
    names = [line.lstrip("#").partition("=")[0] for line in lines if re.match(r"#?KILN_\w+=", line)]
    assert names
    for name in names:
        assert hasattr(Settings(), name.removeprefix("KILN_").lower()), name


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_the_units(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for file in UNITS:
        # Programs and users that this machine has in place of the node's.
        text = (
            (SYSTEMD / file).read_text().replace("/opt/kiln/venv/bin/python", "/bin/sh").replace("=kiln\n", "=daemon\n")
        )
        text = text.replace("/usr/sbin/logrotate", "/bin/true")
        (tmp_path / file).write_text(text.replace("=www-data\n", "=daemon\n"))
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / name]
    said = subprocess.run(command, capture_output=True, text=True)
    ours = [line for line in said.stderr.splitlines() if str(tmp_path) in line or line.startswith("kiln.")]
    assert ours == []


# --- Logs


def test_the_logs_that_are_rotated_are_nginx_s() -> None:
    text = (SYSTEMD / "logrotate.conf").read_text()
    nginx = (ROOT / "deploy" / "nginx.conf").read_text()
    [logs] = re.findall(r"^(/\S+) \{$", text, re.MULTILINE)
    for directive in ("access_log", "error_log"):
        [log] = re.findall(rf"^ *{directive} (\S+) ", nginx, re.MULTILINE)
        assert Path(log).match(logs)
    assert f"create 0640 {option(ROOT / 'deploy' / 'nginx.conf', 'user')} adm" in text
    assert text.count(option(ROOT / "deploy" / "nginx.conf", "pid")) == 2
    assert str(Path(logs).parent) in unit("ReadWritePaths", "kiln-logs.service")
    provision = (IMAGE / "provision.sh").read_text()
    assert unit("ExecStart", "kiln-logs.service").split()[-1] in provision


def test_what_the_logs_take_is_what_the_documents_say() -> None:
    text = (SYSTEMD / "logrotate.conf").read_text()
    kept, size = (int(re.findall(rf"^ *{name} (\d+)M?$", text, re.MULTILINE)[0]) for name in ("rotate", "maxsize"))
    # And the log itself, and the one that is being compressed.
    said = f"{kept + 2} x ({size} MiB + what is written in a minute)"
    assert said in text
    assert said in " ".join((ROOT / "docs" / "operations.md").read_text().split())


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_large_log_is_rotated_at_once_and_a_small_one_left(tmp_path: Path) -> None:
    """By logrotate itself, with the capabilities that the unit leaves it."""
    logrotate = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if logrotate is None or shutil.which("setpriv") is None:
        pytest.skip("logrotate or setpriv is not installed")
    tmp_path.chmod(0o755)
    (tmp_path / "logs").mkdir()
    conf = tmp_path / "logrotate.conf"
    text = (SYSTEMD / "logrotate.conf").read_text()
    conf.write_text(text.replace("/var/log/nginx/", f"{tmp_path}/logs/").replace("/run/nginx.pid", f"{tmp_path}/pid"))
    conf.chmod(0o644)
    for name, size in {"access.log": 51 << 20, "error.log": 1 << 20}.items():
        (tmp_path / "logs" / name).write_bytes(b"x" * size)
        shutil.chown(tmp_path / "logs" / name, "www-data", "adm")
        (tmp_path / "logs" / name).chmod(0o640)
    held = [
        f"+{name.removeprefix('CAP_').lower()}" for name in unit("CapabilityBoundingSet", "kiln-logs.service").split()
    ]
    fences = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{','.join(held)}"]
    told = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: told.set())
    try:
        (tmp_path / "pid").write_text(f"{os.getpid()}\n")
        done = subprocess.run(
            [*fences, logrotate, "--state", tmp_path / "status", conf], capture_output=True, text=True, check=False
        )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert told.is_set()
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"access.log", "access.log.1.gz", "error.log"}
    new = (tmp_path / "logs" / "access.log").stat()
    assert (new.st_size, oct(new.st_mode & 0o777)) == (0, "0o640")
    assert (tmp_path / "logs" / "access.log").owner() == "www-data"


# --- The scripts of the image


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_strict_and_runnable(script: Path) -> None:
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""
    assert not re.search(r"https?://(?!archive\.ubuntu\.com|security\.ubuntu\.com|(deb|security)\.debian\.org)", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    assert subprocess.run(["shellcheck", "-x", script], cwd=ROOT, capture_output=True, text=True).stdout == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--target is rootfs, qcow2 or packer"),
        (["--target", "floppy"], "--target is rootfs, qcow2 or packer"),
        (["--target", "rootfs", "--boot-test"], "--boot-test is for --target qcow2"),
        (["--colour", "red"], "unknown option --colour"),
    ],
)
def test_bake_says_what_is_wrong(options: list[str], says: str) -> None:
    result = subprocess.run([IMAGE / "bake.sh", *options], capture_output=True, text=True)
    assert result.returncode == 1
    assert says in result.stderr.splitlines()[-1]


def test_provision_names_every_problem_at_once(tmp_path: Path) -> None:
    script = tmp_path / "deploy" / "image" / "provision.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(IMAGE / "provision.sh", script)
    own = tmp_path / "own"
    for name in ("etc/kiln/keys", "etc/kiln/logrotate.conf", "etc/passwd", "srv/kiln/store/pets/1/bundle.json"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).touch()
    (own / "etc/nginx").mkdir()
    (own / "etc/nginx/nginx.conf").symlink_to("mine.conf")
    environment = {**os.environ, "KILN_EXTRAS": "colour", "KILN_OWN": str(own)}
    result = subprocess.run([script, "red"], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "unknown argument red" in result.stderr
    assert "KILN_EXTRAS: colour must be keras or tracing" in result.stderr
    assert sorted(re.findall(r"KILN_OWN: (.*?)(?:,|:|$)", result.stderr, re.MULTILINE)) == [
        "etc/kiln/logrotate.conf is Kiln's",
        "etc/nginx/nginx.conf is no plain file",
        "etc/passwd is none of what is a node's own",
    ]
    for part in ("api.py", "app", "requirements/serve.txt", "deploy/image/blocks.sh"):
        assert f"{tmp_path}/{part} is missing" in result.stderr
    assert result.stdout == ""


def test_the_unit_that_seals_is_understood_and_gone_with_the_next_boot(tmp_path: Path) -> None:
    text = (IMAGE / "seal.sh").read_text()
    [(file, body)] = re.findall(r"cat >(\S+) <<END\n(.*?)^END$", text, re.MULTILINE | re.DOTALL)
    [names] = re.findall(r"^histories=''\n.*$", text, re.MULTILINE)
    body = subprocess.check_output(["bash", "-c", f"{names}\ncat <<END\n{body}END"], text=True)
    assert file.startswith("/run/")
    for left in ("random-seed", "/root/.*_history", "/home/*/.*_history", "/home/*/.viminfo", "/var/log/journal/*"):
        assert left in body.partition("ExecStop=")[2]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / Path(file).name).write_text(body)
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / Path(file).name]
    said = subprocess.run(command, capture_output=True, text=True).stderr
    assert [line for line in said.splitlines() if "kiln-seal" in line] == []


# --- Packer


def templates() -> dict[str, dict[str, object]]:
    found = {}
    for file in sorted((IMAGE / "packer").glob("*.pkr.hcl")):
        with file.open() as text:
            found[file.name] = hcl2.load(text)
    return found


def test_the_templates_are_hcl_and_build_on_three_clouds_with_one_script() -> None:
    parsed = templates()
    kinds = {kind.strip('"') for file in parsed.values() for source in file.get("source", []) for kind in source}
    assert kinds == {"amazon-ebs", "googlecompute", "azure-arm"}
    text = (IMAGE / "packer" / "kiln.pkr.hcl").read_text()
    assert all(f'"source.{kind}.kiln"' in text for kind in kinds)
    assert text.index("deploy/image/provision.sh") < text.index("deploy/image/seal.sh")


def test_the_templates_execute_nothing_below_run() -> None:
    """Debian mounts /run noexec: a script there is read by bash, and starts none that lies beside it."""
    [build] = templates()["kiln.pkr.hcl"]["build"]
    lines = [
        line.strip('"') for one in build["provisioner"] for step in one.values() for line in step.get("inline", [])
    ]
    scripts = [line.split() for line in lines if line.split()[-1].endswith(".sh")]
    assert [Path(words[-1]).name for words in scripts] == ["provision.sh", "seal.sh"]
    for words in scripts:
        assert words[0] == "bash", words
        text = (IMAGE / Path(words[-1]).name).read_text()
        assert not re.search(
            r"^\s*(exec |sudo )?[\"']?(\$\{?(source|here|BASH_SOURCE)\b|\./|/run/)\S*", text, re.MULTILINE
        )


def test_no_image_is_made_of_a_machine_on_which_something_failed(tmp_path: Path) -> None:
    """The script as Packer writes and starts it: it ends with the first line that fails."""
    [build] = templates()["kiln.pkr.hcl"]["build"]
    steps = [step for one in build["provisioner"] for step in one.values() if len(step.get("inline", [])) > 1]
    assert steps
    for step in steps:
        script = tmp_path / "script.sh"
        script.write_text("#!/bin/sh\nfalse\ntouch sealed\n")
        command = step["execute_command"].strip('"').replace("{{ .Vars }}", "").replace("sudo -E", "")
        command = command.replace("{{ .Path }}", str(script))
        assert subprocess.run(["bash", "-c", command], cwd=tmp_path).returncode != 0
        assert not (tmp_path / "sealed").exists()


def test_each_variable_of_the_templates_is_declared_and_used() -> None:
    text = "".join(file.read_text() for file in (IMAGE / "packer").glob("*.pkr.hcl"))
    assert set(re.findall(r"\bvar\.(\w+)", text)) == set(re.findall(r'^variable "(\w+)"', text, re.MULTILINE))


def test_packed_for_packer(tmp_path: Path) -> None:
    result = subprocess.run(
        [IMAGE / "bake.sh", "--target", "packer", "--out", tmp_path], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    made = {path.name for path in (tmp_path / "packer").iterdir()}
    assert made == {*templates(), "kiln.tar.gz", "commit.auto.pkrvars.hcl"}
    listing = subprocess.run(["tar", "-tzf", tmp_path / "packer/kiln.tar.gz"], capture_output=True, text=True).stdout
    for part in (
        "api.py",
        "app/__init__.py",
        "model/store/catdog/1/bundle.json",
        "deploy/image/provision.sh",
        "requirements/tracing.txt",
    ):
        assert f"./{part}\n" in listing
    assert "__pycache__" not in listing
    assert "model/training" not in listing
