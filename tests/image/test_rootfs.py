"""A root file system baked for real and booted with its own systemd, asked from outside."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.image.conftest import Node
from tests.servers import ROOT, assert_error, wait_for

# One machine, one process: the tests change it and put it back.
pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(900)]

UNITS = ("kiln.service", "kiln.socket", "nginx.service", "kiln-logs.timer")
PROVISION = "/mnt/deploy/image/provision.sh"
RATE = 150  # requests a second of all clients together; nginx.conf lets an address have 200


# --- The image, before it ever runs


def test_the_image_holds_nothing_of_one_machine(rootfs: Path) -> None:
    assert (rootfs / "etc/machine-id").read_text() == ""
    for pattern in ("etc/ssh/ssh_host_*", "var/lib/systemd/random-seed", "var/lib/dbus/machine-id", "root/.*history"):
        assert list(rootfs.glob(pattern)) == []


def test_the_image_holds_no_rests_of_its_making(rootfs: Path) -> None:
    def files(folder: str) -> list[Path]:
        return [path for path in (rootfs / folder).rglob("*") if path.is_file() and not path.is_symlink()]

    logs = {path.name: path for path in files("var/log")}
    assert set(logs) == {"access.log", "error.log"}
    for path in logs.values():  # as nginx's package makes them
        stat = path.stat()
        assert (stat.st_size, stat.st_mode & 0o777, stat.st_uid != 0, stat.st_gid != 0) == (0, 0o640, True, True)
    for folder in ("var/lib/apt/lists", "var/cache/apt", "root/.cache", "tmp", "var/tmp", "run"):
        assert files(folder) == [], folder
    assert not (rootfs / "etc/resolv.conf").exists()
    assert sorted(path.name for path in rootfs.glob("opt/kiln/*.new")) == []


def test_the_image_asks_the_mirrors_of_its_distribution(rootfs: Path) -> None:
    """Whatever mirrors, proxies and indexes the building machine used."""
    sources = (rootfs / "etc/apt/sources.list").read_text()
    hosts = set(re.findall(r"https?://([^/ ]+)", sources))
    assert hosts
    assert all(host.endswith((".debian.org", ".ubuntu.com")) for host in hosts), hosts
    assert "-security" in sources
    assert list((rootfs / "etc/apt/sources.list.d").iterdir()) == []
    said = subprocess.run(["grep", "-rE", "^ *(Acquire::|Proxy)", rootfs / "etc/apt"], capture_output=True, text=True)
    assert said.stdout == ""
    assert [path for path in rootfs.glob("**/pip.conf") if path.is_file()] == []


def test_the_image_holds_what_serves_and_no_more(rootfs: Path) -> None:
    kiln = rootfs / "opt/kiln"
    assert {path.name for path in kiln.iterdir()} > {"BUILD", "api.py", "app", "model", "deploy", "venv"}
    for absent in ("tests", "loadtest", ".git", "model/training", "model/store", "venv/lib/python3/tensorflow"):
        assert not (kiln / absent).exists(), absent
    shipped = {path.name: path.read_bytes() for path in (ROOT / "model/store/catdog/1").iterdir()}
    assert {path.name: path.read_bytes() for path in (rootfs / "srv/kiln/store/catdog/1").iterdir()} == shipped


# --- The node, from outside


def test_a_photo_is_answered_from_outside(node: Node, photo: bytes) -> None:
    answer = requests.post(f"{node.url}/predict", files={"image": photo}, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == "cat"


def test_version_shows_the_build(node: Node, rootfs: Path) -> None:
    version = requests.get(f"{node.url}/version", timeout=10).json()
    assert version["build"] == json.loads((rootfs / "opt/kiln/BUILD").read_text())
    assert version["build"]["release"] == version["kiln"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", version["build"]["time"])
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert version["build"]["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_nothing_listens_outside_but_nginx(node: Node) -> None:
    open_to_all = set()
    for line in node.out("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric", "--processes").splitlines():
        kind, _, _, _, local, _, *program = line.split()
        if not local.startswith(("127.", "[::1]")):
            open_to_all.add((kind, local.rpartition(":")[2], re.findall(r'"(.*?)"', " ".join(program))[0]))
    assert open_to_all == {("tcp", "80", "nginx")}


def test_metrics_are_closed_to_the_outside(node: Node) -> None:
    assert_error(requests.get(f"{node.url}/metrics", timeout=10), 403)


# --- Commands on the node


def test_the_node_has_a_command_that_knows_its_settings(node: Node) -> None:
    assert "catdog  1 " in node.out("kiln", "models")
    assert node.out("kiln", "models", "verify").startswith("catdog 1: good")
    try:
        node.run("kiln", "keys", "add", "phone", "--file", "/etc/kiln/keys")
        assert node.out("stat", "--format=%a %U:%G", "/etc/kiln/keys") == "640 root:kiln"
    finally:
        node.run("rm", "-f", "/etc/kiln/keys")
    doctor = node.run("kiln", "doctor", check=False)
    assert "PROBLEM" not in doctor.stdout, doctor.stdout
    assert "units: nginx.service, kiln.service, kiln.socket run" in doctor.stdout, doctor.stdout
    assert node.out("getent", "hosts", "localhost")


# --- Units, owners, fences


def test_the_units_run_and_come_back_at_boot(node: Node) -> None:
    for unit in UNITS:
        assert (node.property(unit, "ActiveState"), node.property(unit, "UnitFileState")) == ("active", "enabled"), unit
    assert node.out("systemctl", "--failed", "--no-legend") == ""
    assert node.property("kiln.service", "StatusText") == "ready: catdog/1"
    assert node.property("kiln.service", "NRestarts") == "0"


def test_started_means_that_a_model_is_proven(node: Node) -> None:
    """gunicorn alone would say so before it has a worker."""
    journal = node.out("journalctl", "--boot", "--output=cat", "_SYSTEMD_UNIT=kiln.service", "+", "UNIT=kiln.service")
    assert journal.index("catdog version 1: AVAILABLE") < journal.index("Started kiln.service")


def test_the_engine_works_within_the_fences(node: Node) -> None:
    """Without /proc/cpuinfo LiteRT runs, but on its slow kernels."""
    journal = node.out("journalctl", "--boot", "--output=cat", "--unit=kiln.service")
    assert "Created TensorFlow Lite XNNPACK delegate" in journal
    assert "cpuinfo" not in journal


@pytest.mark.parametrize("unit", ["kiln.service", "nginx.service", "kiln-logs.service"])  # the others run nothing
def test_exposure_is_low(node: Node, unit: str) -> None:
    said = node.out("systemd-analyze", "security", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", said)
    assert exposure, said
    assert float(exposure[1]) <= 3.0, said


def test_processes_are_nobodys_friends(node: Node) -> None:
    for pid in node.out("cat", "/sys/fs/cgroup/systemd/system.slice/kiln.service/cgroup.procs").split() or [
        node.property("kiln.service", "MainPID")
    ]:
        status = node.out("cat", f"/proc/{pid}/status")
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert node.out("stat", "--format=%U:%G", f"/proc/{pid}") == "kiln:kiln"


def test_owners_and_modes(node: Node) -> None:
    passwd = node.out("getent", "passwd", "kiln").split(":")
    assert passwd[-1] == "/usr/sbin/nologin"
    assert node.out("getent", "shadow", "kiln").split(":")[1] in ("!", "*", "!*")
    expected = {
        "/opt/kiln": "755 root:root",
        "/opt/kiln/app": "755 root:root",
        "/opt/kiln/BUILD": "644 root:root",
        "/srv/kiln/store": "755 root:root",
        "/etc/kiln/kiln.env": "640 root:kiln",
        "/run/kiln/kiln.sock": "660 kiln:www-data",
    }
    assert {path: node.out("stat", "--format=%a %U:%G", path) for path in expected} == expected
    # All that runs is root's: not one file that the service could change.
    theirs = ["(", "!", "-user", "root", "-o", "-perm", "/022", ")", "!", "-type", "l"]
    assert node.out("find", "/opt/kiln", "/srv/kiln", *theirs) == ""


def test_the_service_cannot_write_where_it_lives(node: Node) -> None:
    main = node.property("kiln.service", "MainPID")
    mounts = node.out("cat", f"/proc/{main}/mountinfo")
    [root] = [line for line in mounts.splitlines() if line.split()[4] == "/"][-1:]
    assert "ro" in root.split()[5].split(",")


def test_limits_are_set(node: Node) -> None:
    assert node.property("kiln.service", "OOMPolicy") == "continue"
    assert int(node.property("kiln.service", "MemoryMax")) > 0
    assert node.property("kiln.service", "TasksMax") == "512"
    assert "SystemMaxUse=256M" in node.out("systemd-analyze", "cat-config", "systemd/journald.conf")
    assert node.out("sysctl", "--values", "net.core.somaxconn") == "4096"


# --- Once more


def checksum(node: Node) -> str:
    """Of each file, folder and link of the machine that is not state of the running system."""
    node.run("systemctl", "start", "kiln-logs.service")  # its folder comes when its timer first runs
    kept = "find / -xdev ( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/tmp "
    kept += "-o -path /mnt -o -path /var/lib/systemd -o -path /var/lib/nginx -o -path /var/lib/private "
    kept += "-o -path /var/lib/kiln-logs ) -prune -o"
    listing = node.out(*kept.split(), "-printf", r"%p %y %m %U:%G %l %s %T@\n")
    content = node.out("sh", "-c", "find /etc /opt /srv -xdev -type f -exec sha256sum {} + | sort")
    return "\n".join(sorted(listing.splitlines())) + content


def test_a_second_run_changes_nothing(node: Node) -> None:
    before, main = checksum(node), node.property("kiln.service", "MainPID")
    said = node.out(PROVISION)
    assert said.splitlines()[-1] == "provision: changed: 0", said
    after = checksum(node)
    assert set(before.splitlines()) ^ set(after.splitlines()) == set()
    assert node.property("kiln.service", "MainPID") == main


def test_a_later_run_that_knows_the_commit_corrects_it(node: Node) -> None:
    said = node.out("env", "KILN_COMMIT=another", PROVISION)
    assert said.splitlines()[-1] == "provision: changed: 1", said
    assert requests.get(f"{node.url}/version", timeout=10).json()["build"]["commit"] == "another"


def test_a_node_that_is_kept_out_of_service_stays_out(node: Node) -> None:
    units = ("kiln.socket", "kiln.service")
    node.run("systemctl", "disable", "--now", *units)
    try:
        node.run("touch", "/var/lib/kiln-provision/code")  # an update, which would restart the service
        said = node.out(PROVISION)
        node.run("systemctl", "restart", "nginx.service")  # as at a boot
        for unit in units:
            assert f"NOTE: {unit} is not enabled on this machine and stays so" in said
            assert (node.property(unit, "ActiveState"), node.property(unit, "UnitFileState")) == (
                "inactive",
                "disabled",
            )
    finally:
        node.run("systemctl", "enable", "--now", *units)
    assert node.is_ready()


def test_a_later_run_puts_right_what_differs_under_load_and_keeps_what_is_the_owners(node: Node, photo: bytes) -> None:
    node.run("sh", "-c", "echo '# mine' >>/etc/kiln/kiln.env && mkdir /srv/kiln/store/mine")
    node.run(
        "sh",
        "-c",
        "echo broken >/opt/kiln/app/routes.py && chmod 666 /etc/kiln/kiln.env && rm /etc/sysctl.d/60-kiln.conf",
    )
    with load(node, photo) as outcomes:
        said = node.out(PROVISION)
    assert set(outcomes) == {200}, [outcome for outcome in outcomes if outcome != 200]
    for path in (
        "/opt/kiln/app",
        "/opt/kiln/BUILD",
        "/etc/kiln/kiln.env is 0640 root:kiln",
        "/etc/sysctl.d/60-kiln.conf",
    ):
        assert f"changed: {path}" in said, said
    assert said.splitlines()[-1] == "provision: changed: 4"
    assert node.out("tail", "-n", "1", "/etc/kiln/kiln.env") == "# mine"
    node.run("rmdir", "/srv/kiln/store/mine")
    assert node.is_ready()


def test_what_is_the_owners_is_taken_and_stays(node: Node) -> None:
    made = {
        "/srv/kiln/store/catdog/serving.json": ("644 root:root", '{"labels": {"stable": "1"}}'),
        "/etc/kiln/keys": ("640 root:kiln", "# none yet"),
        "/etc/nginx/tls/privkey.pem": ("600 root:root", "secret"),
        "/etc/systemd/system/kiln.service.d/own.conf": ("644 root:root", "[Service]\nEnvironment=OWN=1"),
    }
    try:
        for path, (_, text) in made.items():
            script = 'mkdir -p "$(dirname "/tmp/own$1")" && printf "%s\\n" "$2" >"/tmp/own$1"'
            node.run("sh", "-c", script, "sh", path, text)
        node.run("sh", "-c", "cat /etc/nginx/nginx.conf - >/tmp/own/etc/nginx/nginx.conf <<END\n# mine\nEND")
        node.out("env", "KILN_OWN=/tmp/own", PROVISION)
        assert {path: node.out("stat", "--format=%a %U:%G", path) for path in made} == {
            path: mode for path, (mode, _) in made.items()
        }
        assert node.out("tail", "-n", "1", "/etc/nginx/nginx.conf") == "# mine"
        assert "OWN=1" in node.property("kiln.service", "Environment")
        assert node.is_ready()
        for again in (("env", "KILN_OWN=/tmp/own", PROVISION), (PROVISION,)):
            assert node.out(*again).splitlines()[-1] == "provision: changed: 0"
    finally:
        node.run("rm", "-rf", "/tmp/own", "/etc/nginx/tls", "/etc/systemd/system/kiln.service.d", *made)
        node.run("cp", "/opt/kiln/deploy/nginx.conf", "/etc/nginx/nginx.conf")
        node.run("systemctl", "daemon-reload")
        node.run("systemctl", "restart", "kiln.service")
        node.run("systemctl", "reload", "nginx.service")
    assert node.is_ready()


def test_an_nginx_conf_that_is_refused_is_never_in_place(node: Node) -> None:
    conf = "/etc/nginx/nginx.conf"
    before = node.out("cat", conf)
    node.run("sh", "-c", "mkdir -p /tmp/own/etc/nginx && echo 'http {' >/tmp/own/etc/nginx/nginx.conf")
    try:
        failed = node.run("env", "KILN_OWN=/tmp/own", PROVISION, check=False)
        assert failed.returncode == 1
        assert "nginx refuses the configuration in /tmp/own; the one before stays." in failed.stderr
        assert node.out("cat", conf) == before
        node.run("cp", "/opt/kiln/deploy/nginx.conf", "/tmp/own/etc/nginx/nginx.conf")
        node.run("sh", "-c", f"echo 'broken {{' >{conf}")
        node.run("env", "KILN_OWN=/tmp/own", PROVISION)  # with a good one, whatever is there
        node.run("nginx", "-t", "-q")
    finally:
        node.run("rm", "-rf", "/tmp/own")
        node.run("cp", "/opt/kiln/deploy/nginx.conf", conf)
    assert node.out(PROVISION).splitlines()[-1] == "provision: changed: 0"


def test_of_two_runs_at_once_one_waits_for_the_other(node: Node) -> None:
    node.run("sh", "-c", "echo broken >/opt/kiln/app/routes.py")
    both = f"{PROVISION} >/tmp/one 2>&1 & {PROVISION} >/tmp/two 2>&1; second=$?; wait $! && exit $second"
    node.run("sh", "-c", both)
    said = [node.out("cat", f"/tmp/{name}") for name in ("one", "two")]
    assert sorted(text.splitlines()[-1] for text in said) == ["provision: changed: 0", "provision: changed: 2"], said
    assert sum("another run is under way" in text for text in said) == 1
    assert node.is_ready()


def socket_in_force(node: Node) -> tuple[str, str]:
    """(backlog, inode) of the socket itself; systemctl shows the file's words once they are read."""
    fields = node.out("ss", "--no-header", "--listening", "--unix", "src", "/run/kiln/kiln.sock").split()
    return fields[3], fields[5]


def test_a_changed_socket_is_made_anew_and_no_other(node: Node) -> None:
    shipped, before = socket_in_force(node)
    node.run("touch", "/var/lib/kiln-provision/code")  # an update of the code alone, which restarts the service
    node.run(PROVISION)
    assert socket_in_force(node) == (shipped, before)
    node.run("sed", "-i", "s/^Backlog=.*/Backlog=7/", "/etc/systemd/system/kiln.socket")
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "restart", "kiln.socket", "kiln.service")
    assert socket_in_force(node)[0] == "7"
    node.run(PROVISION)
    assert socket_in_force(node)[0] == shipped == "2048"
    assert node.is_ready()


@pytest.fixture
def checkout(node: Node) -> Iterator[str]:
    """A copy of the checkout on the node, to be changed. Gives its provision.sh."""
    node.run(
        "sh", "-c", "mkdir /tmp/kiln && cd /mnt && cp -R *.md api.py app model deploy requirements docs /tmp/kiln/"
    )
    yield "/tmp/kiln/deploy/image/provision.sh"
    node.run("rm", "-rf", "/tmp/kiln")
    node.run("env", "KILN_EXTRAS=", PROVISION)
    assert node.is_ready()


def test_an_update_that_fails_leaves_the_service_as_it_was(node: Node, checkout: str) -> None:
    """Its new pins cannot be had: this node reaches no index."""
    before, main = checksum(node), node.property("kiln.service", "MainPID")
    node.run("sh", "-c", "echo 'raise ImportError' >/tmp/kiln/app/routes.py")
    node.run("sh", "-c", "echo absent==1 --hash=sha256:$(printf %064d 0) >>/tmp/kiln/requirements/serve.txt")
    environment = ("env", "PIP_RETRIES=0", "PIP_TIMEOUT=1")
    failed = node.run(*environment, checkout, check=False)
    assert failed.returncode == 1
    assert "FAILED; code and Python environment are as they were" in failed.stderr.splitlines()[-1]
    # Nor does code come into force that cannot be imported.
    node.run("cp", "/mnt/requirements/serve.txt", "/tmp/kiln/requirements/serve.txt")
    failed = node.run(checkout, check=False)
    assert failed.returncode == 1
    assert "as they were" in failed.stderr.splitlines()[-1]
    # Nor code with which a model does not answer: the service would start and answer 503.
    node.run("cp", "/mnt/app/routes.py", "/tmp/kiln/app/routes.py")
    node.run("sh", "-c", "echo 'def load(file, threads): raise OSError' >>/tmp/kiln/model/engines/litert.py")
    failed = node.run(checkout, check=False)
    assert failed.returncode == 1
    assert "Model catdog would not answer" in failed.stderr
    assert "as they were" in failed.stderr.splitlines()[-1]
    differs = {
        line for line in set(before.splitlines()) ^ set(checksum(node).splitlines()) if "/opt/kiln d " not in line
    }
    assert differs == set()
    node.run("systemctl", "reload", "kiln.service")  # new workers, of the code before
    assert node.is_ready()
    assert node.property("kiln.service", "MainPID") == main


def test_code_that_does_not_start_is_taken_back(node: Node, checkout: str) -> None:
    """Though a trial of its app succeeds, which has no socket of systemd's."""
    ends = "import os; os.environ.get('LISTEN_FDS') and os._exit(1)"
    node.run("sh", "-c", f'echo "{ends}" >>/tmp/kiln/deploy/gunicorn.conf.py')
    before = node.out("cat", "/opt/kiln/BUILD")
    failed = node.run(checkout, check=False)
    assert failed.returncode == 1
    assert "again as they were" in failed.stderr.splitlines()[-1]
    assert "do not start" not in failed.stderr
    assert node.out("cat", "/opt/kiln/BUILD") == before
    wait_for(node.is_ready, "the code before to serve", 60)


def test_a_good_update_starts_a_service_that_had_given_up(node: Node) -> None:
    node.run("mv", "/opt/kiln/app", "/opt/kiln/was")
    try:
        node.run("systemctl", "restart", "kiln.service", check=False)
        wait_for(lambda: node.property("kiln.service", "ActiveState") == "failed", "systemd to give up", 90)
        node.run(PROVISION)
        assert node.is_ready()
    finally:
        node.run("rm", "-rf", "/opt/kiln/was")


def test_the_owners_nginx_conf_stays(node: Node, checkout: str) -> None:
    conf = "/etc/nginx/nginx.conf"
    node.run("sh", "-c", f"cp {conf} /tmp/kiln/conf && echo '# mine' >>{conf}")
    try:
        assert "NOTE" not in node.out(checkout)
        node.run("sh", "-c", "echo '# newer' >>/tmp/kiln/deploy/nginx.conf")
        said = node.out(checkout)
        assert f"diff {conf} {conf}.kiln-new" in said
        assert node.out("tail", "-n", "1", conf) == "# mine"
    finally:
        node.run("sh", "-c", f"rm -f {conf}.kiln-new && cp /mnt/deploy/nginx.conf {conf}")


def test_a_first_run_that_was_interrupted_is_made_good(node: Node) -> None:
    """It ended while it copied: what it left does not get in the way of the next one."""
    try:
        node.run("sh", "-c", "mv /srv/kiln/store /srv/kiln/was && cp -R /srv/kiln/was /srv/kiln/store.new")
        node.run("sh", "-c", "rm /srv/kiln/store.new/catdog/1/bundle.json && cp -R /opt/kiln/app /opt/kiln/app.old")
        node.run(PROVISION)
        node.run("diff", "-r", "/srv/kiln/was", "/srv/kiln/store")
        assert (
            node.out(
                "find", "/opt/kiln", "/srv/kiln", "-maxdepth", "1", "(", "-name", "*.new", "-o", "-name", "*.old", ")"
            )
            == ""
        )
    finally:
        node.run("rm", "-rf", "/srv/kiln/store", "/srv/kiln/store.new", "/opt/kiln/app.old")
        node.run("mv", "/srv/kiln/was", "/srv/kiln/store")
    # A worker that looked while there was no store has no model until it looks again, and others may answer for it.
    node.run("systemctl", "reload", "kiln.service")
    assert node.is_ready()


# --- Under load


@contextlib.contextmanager
def load(node: Node, photo: bytes, kept: int = 2, new: int = 2) -> Iterator[list[object]]:
    """Clients that post one photo after the other, below the rate that nginx lets an address have. Gives what came.

    kept, new: how many of them keep their connections, and make a new one each time.
    """
    outcomes: list[object] = []
    stop = threading.Event()

    def client(kept: bool) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                post = session.post if kept else requests.post
                try:
                    answer = post(f"{node.url}/predict", data=photo, headers={"Content-Type": "image/jpeg"}, timeout=60)
                    outcomes.append(200 if answer.status_code == 200 else f"{answer.status_code} {answer.text}")
                except requests.RequestException as lost:
                    outcomes.append(repr(lost))
                stop.wait(count / RATE)

    count = kept + new
    threads = [threading.Thread(target=client, args=(number < kept,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(outcomes) >= count, "the first answers")
        yield outcomes
        before = len(outcomes)
        wait_for(lambda: len(outcomes) > before + 20, "answers afterwards")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def set_in_env(node: Node, *lines: str) -> None:
    """Replace what the tests have added to kiln.env."""
    node.run("sed", "-i", "/# test$/,$d", "/etc/kiln/kiln.env")
    node.run("sh", "-c", "printf '%s\\n' \"$@\" >>/etc/kiln/kiln.env", "sh", "# test", *lines)


def most_images(node: Node) -> int:
    """KILN_MAX_IMAGES, as the API description has it."""
    text = json.dumps(requests.get(f"{node.url}/openapi.json", timeout=10).json())
    found = re.search(r'"maxItems": (\d+)', text)
    assert found
    return int(found[1])


def test_restart_under_load_loses_no_request(node: Node, photo: bytes) -> None:
    before = node.property("kiln.service", "MainPID")
    with load(node, photo) as outcomes:
        for _ in range(3):
            node.run("systemctl", "restart", "kiln.service")
    assert node.property("kiln.service", "MainPID") != before
    assert set(outcomes) == {200}, [outcome for outcome in outcomes if outcome != 200]


def test_reload_under_load_takes_new_settings_and_code_and_loses_no_request(node: Node, photo: bytes) -> None:
    main, release = (
        node.property("kiln.service", "MainPID"),
        requests.get(f"{node.url}/version", timeout=10).json()["kiln"],
    )
    try:
        with load(node, photo) as outcomes:
            for images, version in ((7, "9.9.9"), (8, release)):
                set_in_env(node, f"KILN_MAX_IMAGES={images}")
                node.run("sed", "-i", f's/^VERSION = .*/VERSION = "{version}"/', "/opt/kiln/app/release.py")
                node.run("systemctl", "reload", "kiln.service")
                assert most_images(node) == images
                assert requests.get(f"{node.url}/version", timeout=10).json()["kiln"] == version
        assert set(outcomes) == {200}, [outcome for outcome in outcomes if outcome != 200]
        assert node.property("kiln.service", "MainPID") == main
    finally:
        node.run("sed", "-i", "/# test$/,$d", "/etc/kiln/kiln.env")
        node.run("systemctl", "reload", "kiln.service")
    assert most_images(node) == 16  # a setting that is taken out again is gone


def test_reload_refuses_wrong_settings_and_leaves_what_runs(node: Node) -> None:
    set_in_env(node, "KILN_THREADS=none", "KILN_COLOUR=red")
    try:
        assert node.run("systemctl", "reload", "kiln.service", check=False).returncode != 0
        assert node.is_ready()
        journal = node.out("journalctl", "--boot", "--output=cat", "--unit=kiln.service", "--lines=20")
        assert "nothing was reloaded" in journal
        assert "KILN_THREADS" in journal
        assert "KILN_COLOUR" in journal
    finally:
        node.run("sed", "-i", "/# test$/,$d", "/etc/kiln/kiln.env")


def test_nginx_reload_under_load_loses_no_request(node: Node, photo: bytes) -> None:
    """On connections of their own: nginx closes idle ones when it reloads, and clients must expect that at any time."""
    with load(node, photo, kept=0, new=4) as outcomes:
        node.run("systemctl", "reload", "nginx.service")
    assert set(outcomes) == {200}, [outcome for outcome in outcomes if outcome != 200]


# --- What systemd makes good


def test_the_watchdog_replaces_a_service_that_answers_nobody(node: Node) -> None:
    """Stopped as a whole, so that gunicorn cannot help itself."""
    drop_in = "/run/systemd/system/kiln.service.d/test.conf"
    node.run("sh", "-c", f"mkdir -p {drop_in.rpartition('/')[0]} && printf '[Service]\\nWatchdogSec=4\\n' >{drop_in}")
    try:
        node.run("systemctl", "daemon-reload")
        node.run("systemctl", "restart", "kiln.service")
        main = node.property("kiln.service", "MainPID")
        for pid in [*node.out("pgrep", "--parent", main).split(), main]:
            if "notify.py" not in node.out("cat", f"/proc/{pid}/cmdline"):
                node.run("kill", "-STOP", pid)
        wait_for(lambda: node.property("kiln.service", "MainPID") not in (main, "0"), "another service", 60)
        wait_for(node.is_ready, "the service to be back", 60)
        journal = node.out("journalctl", "--boot", "--output=cat", "_PID=1", "--unit=kiln.service")
        assert "Watchdog timeout" in journal
    finally:
        node.run("rm", "-f", drop_in)
        node.run("systemctl", "daemon-reload")
        node.run("systemctl", "restart", "kiln.service")


def test_a_killed_master_comes_back_and_its_socket_never_goes(node: Node, photo: bytes) -> None:
    main = node.property("kiln.service", "MainPID")
    node.run("kill", "-KILL", main)
    # What a worker had taken ends with it. Requests that come once it is gone wait; none is refused.
    wait_for(lambda: node.property("kiln.service", "MainPID") != main, "systemd to notice", 20)
    for _ in itertools.repeat(None, 5):
        assert requests.post(f"{node.url}/predict", data=photo, timeout=60).status_code == 200
    assert node.property("kiln.service", "MainPID") != main
    assert node.property("kiln.socket", "ActiveState") == "active"


def test_a_service_that_cannot_start_gives_up_says_why_and_begins_again(node: Node, photo: bytes) -> None:
    def given_up() -> bool:
        return node.property("kiln.service", "ActiveState") == "failed"

    set_in_env(node, "KILN_THREADS=none")
    try:
        assert node.run("systemctl", "restart", "kiln.service", check=False).returncode != 0
        wait_for(given_up, "systemd to give up", 90)
        # The first request asks systemd once more, which closes the socket; then there is nothing to wait for.
        for _ in itertools.repeat(None, 2):
            assert_error(requests.post(f"{node.url}/predict", data=photo, timeout=30), 502, "unavailable")
        journal = node.out("journalctl", "--boot", "--output=cat", "--unit=kiln.service", "--lines=50")
        assert "KILN_THREADS='none' must be an integer" in journal
    finally:
        node.run("sed", "-i", "/# test$/,$d", "/etc/kiln/kiln.env")
        node.run("systemctl", "reset-failed", "kiln.service", "kiln.socket")
        node.run("systemctl", "start", "kiln.socket", "kiln.service")
    assert requests.post(f"{node.url}/predict", data=photo, timeout=30).status_code == 200


def test_logs_are_rotated_by_size_and_written_on(node: Node) -> None:
    """nginx reopens its logs within its fences, and logrotate works within its own."""
    log = "/var/log/nginx/access.log"

    def asked(path: str) -> bool:
        requests.get(f"{node.url}{path}", timeout=10)
        return path in node.out("cat", log)

    wait_for(lambda: asked("/before"), "a line in the log")
    node.run("sh", "-c", f"head -c 60000000 /dev/zero >>{log}")
    node.run("systemctl", "start", "kiln-logs.service")  # or the timer has been quicker
    rotated = node.out("sh", "-c", f"zcat {log}.*.gz | tr -d '\\0'")
    assert "/before" in rotated
    assert node.out("stat", "--format=%a %U:%G", log) == "640 www-data:adm"
    wait_for(lambda: asked("/after"), "a line in the new log")
    assert node.out("systemctl", "--failed", "--no-legend") == ""


def test_nothing_else_rotates_the_logs_of_nginx(node: Node) -> None:
    assert "/var/log/nginx" not in node.out("sh", "-c", "cat /etc/logrotate.conf /etc/logrotate.d/*")


# --- The end of the machine


def test_a_machine_that_is_switched_off_leaves_first(node: Node, photo: bytes) -> None:
    """The last test: it takes the node along. nginx goes on until Kiln has left."""

    def says() -> str:
        answer = requests.get(f"{node.url}/ready", timeout=10).json()
        return str(answer.get("error", {}).get("code"))

    set_in_env(node, "KILN_DRAIN=10")
    node.run("systemctl", "restart", "kiln.service")
    node.run("systemctl", "poweroff", check=False)  # whether it hears the answer depends on who ends first
    wait_for(lambda: says() == "leaving", "the node to leave")
    assert requests.post(f"{node.url}/predict", data=photo, timeout=10).status_code == 200
    assert says() == "leaving"
