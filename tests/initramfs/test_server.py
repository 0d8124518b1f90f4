"""What the hooks add on a machine whose images lie on a server, by stand-ins for generators."""

import re
import subprocess
from pathlib import Path

import pytest

from resume.request import LONG_TIMEOUT, SERVER_TIMEOUT
from tests.initramfs.installed import SERVER, SERVER_LOCATION, lay_out, on_a_copy
from tests.initramfs.test_hooks import GENERATOR, RESUMER
from tests.tools import ROOT, output, put, unavailable

LISTED = "/usr/lib/torpor/resume/_internal/ssl.pyc"
NETWORK = "/usr/lib/torpor/server-network"
BUNDLE = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
SECURE = SERVER_LOCATION.replace("http:", "https:")


def needs(root: Path) -> tuple[list[str], str]:
    """Return what server-needs prints for the system at `root`, and what it complains of."""
    words = ["dash", str(ROOT / "initramfs/server-needs"), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


def have_server(
    root: Path, location: str = SERVER_LOCATION, server: str = "access_key=a\n"
) -> None:
    put(root, {"var/lib/torpor/location": location, SERVER: server})
    put(root, {"usr/lib/torpor/resume-server.needs": f"{LISTED}\n", BUNDLE: ""})


@pytest.mark.parametrize("location", ["", "resume=/dev/s3+\n", "# resume=s3+http://a/b\n"])
def test_another_machine_gets_nothing(tmp_path: Path, location: str) -> None:
    have_server(tmp_path, location)
    assert needs(tmp_path) == ([], "")


def test_a_machine_with_a_server(tmp_path: Path) -> None:
    have_server(tmp_path)
    assert needs(tmp_path) == ([SERVER, NETWORK, LISTED], "")


@pytest.mark.parametrize(
    ("server", "more"), [("", [BUNDLE]), ("ca=\n-----BEGIN CERTIFICATE-----\n", [])]
)
def test_whom_the_system_trusts_unless_the_servers_authority_is_named(
    tmp_path: Path, server: str, more: list[str]
) -> None:
    have_server(tmp_path, SECURE, server)
    assert needs(tmp_path) == ([SERVER, NETWORK, LISTED, *more], "")


def test_without_the_keys_it_says_so_and_goes_on(tmp_path: Path) -> None:
    have_server(tmp_path)
    (tmp_path / SERVER[1:]).unlink()
    found, said = needs(tmp_path)
    assert found == []
    assert said.count("\n") == 1
    assert f"{SERVER} is missing" in said


def test_systemd_lets_the_resumer_speak_to_a_server_there_alone(tmp_path: Path) -> None:
    put(tmp_path, {"etc/initrd-release": ""})
    folders = [str(tmp_path / name) for name in ("units", "early", "late")]
    environment = {"TORPOR_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([GENERATOR, *folders], env=environment, check=True)
    drop_in = tmp_path / "units/torpor-resume.service.d/server.conf"
    assert not drop_in.exists()
    put(tmp_path, {NETWORK: ""})
    subprocess.run([GENERATOR, *folders], env=environment, check=True)
    lines = drop_in.read_text().splitlines()
    assert "RestrictAddressFamilies=AF_INET AF_INET6" in lines
    assert "Wants=network-online.target" in lines
    assert not [line for line in lines if line.startswith("After=")], "it would wait"
    unit = (ROOT / "initramfs/systemd/torpor-resume.service").read_text()
    assert re.findall("^RestrictAddressFamilies=(.*)", unit, re.MULTILINE) == ["AF_UNIX AF_NETLINK"]


# The network itself: in a copy of this system with an empty /sys, and no devices of its own.


def system(tmp_path: Path, devices: str = "eth0", **files: str) -> Path:
    """Return the tree of the package with these network devices in /sys, and an ipconfig."""
    tree = tmp_path / "system"
    lay_out(tree, None)
    put(tree, {f"sys/class/net/{device}/device/none": "" for device in devices.split()})
    put(tree, {f"sys/class/net/{device}/carrier": "1\n" for device in devices.split()})
    put(tree, {"sys/class/net/lo/mtu": "", "usr/bin/ipconfig": files.get("ipconfig", FAKE)})
    (tree / "usr/bin/ipconfig").chmod(0o755)
    return tree


FAKE = """#!/bin/sh
echo "$@" >>/calls
exec sleep 1000
"""
ANSWER = """#!/bin/sh
echo "$@" >>/calls
cat >/run/net-eth0.conf <<'CONF'
DEVICE='eth0'
IPV4DNS0='10.0.2.3'
IPV4DNS1='0.0.0.0'
DNSDOMAIN='$(touch /run/owned)'
IPV4DNS2='`touch /run/owned`'
CONF
"""
UP_AND_DOWN = """
    echo "$1" >/cmdline && mount --bind /cmdline /proc/cmdline
    rm -rf /etc/resolv.conf /run/net-*
    : >/calls
    for device in $(ls /sys/class/net); do ip link add $device type veth; done 2>/dev/null
    {before}
    {network} up
    sleep 2
    sort /calls
    cat /etc/resolv.conf 2>/dev/null
    ls /run/owned 2>/dev/null
    {network} down
    sleep 1.5
    ls /run | grep ^net-
    ps ax | grep '[s]leep 1000' && echo "it goes on"
    :
"""


def up_and_down(tree: Path, tmp_path: Path, cmdline: str = "quiet", before: str = "") -> list[str]:
    script = UP_AND_DOWN.format(network=NETWORK, before=before)
    shell = [
        "unshare",
        "--net",
        "--pid",
        "--fork",
        "sh",
        "-c",
        f"mount -t proc proc /proc;{script}",
    ]
    return on_a_copy(tree, tmp_path / "result", *shell, "sh", cmdline).splitlines()


@pytest.mark.parametrize(
    ("cmdline", "called"),
    [
        ("quiet", ["ip=:::::eth0:dhcp", "ip=:::::eth1:dhcp"]),
        ("ip=dhcp", ["ip=:::::eth0:dhcp", "ip=:::::eth1:dhcp"]),
        ("ip=on quiet", ["ip=:::::eth0:dhcp", "ip=:::::eth1:dhcp"]),
        ("ip=:::::eth1:dhcp", ["ip=:::::eth1:dhcp"]),
        ("ip=10.0.0.2::10.0.0.1:24:h::off", ["ip=10.0.0.2::10.0.0.1:24:h:eth0:off"]),
        (
            "ip=10.0.0.2::10.0.0.1:255.0.0.0::eth1:none:9.9.9.9",
            ["ip=10.0.0.2::10.0.0.1:255.0.0.0::eth1:none:9.9.9.9"],
        ),
        ("ip=off", []),
    ],
)
def test_each_wired_device_is_asked_as_the_command_line_says(
    tmp_path: Path, cmdline: str, called: list[str]
) -> None:
    """And nobody goes on asking where nobody answers; one for Wi-Fi would ask for ever."""
    tree = system(tmp_path, "eth0 eth1 wlan0")
    put(tree, {"sys/class/net/wlan0/phy80211": ""})
    assert up_and_down(tree, tmp_path, cmdline) == called


def test_names_are_taken_from_the_answer_which_is_not_run(tmp_path: Path) -> None:
    said = up_and_down(system(tmp_path, ipconfig=ANSWER), tmp_path)
    assert said == ["ip=:::::eth0:dhcp", "nameserver 10.0.2.3"]


def test_with_an_address_of_the_command_line_it_stays_up(tmp_path: Path) -> None:
    """Who gives one may want to log in, or have the root on the network."""
    said = up_and_down(system(tmp_path, ipconfig=ANSWER), tmp_path, "ip=dhcp")
    assert said == ["ip=:::::eth0:dhcp", "nameserver 10.0.2.3", "net-eth0.conf"]


@pytest.mark.parametrize(
    ("before", "names"),
    [
        ("touch /run/net-eth7.conf", []),
        ("echo IPV4DNS0=9.9.9.9 >/run/net-eth7.conf", ["nameserver 9.9.9.9"]),
        (
            "echo nameserver 8.8.8.8 >/etc/resolv.conf; echo IPV4DNS0=9.9.9.9 >/run/net-eth7.conf",
            ["nameserver 8.8.8.8"],
        ),
    ],
)
def test_what_others_brought_up_is_theirs(tmp_path: Path, before: str, names: list[str]) -> None:
    """As for a root on NFS; initramfs-tools itself leaves out the names of that."""
    assert up_and_down(system(tmp_path), tmp_path, before=before) == [*names, "net-eth7.conf"]


REAL = """
    rm -f /run/net-* /etc/resolv.conf; ip link add eth0 type veth peer name peer
    ip address add 10.9.8.1/24 dev peer; ip link set peer up
    : >/leases
    printf '%s\n' 'start 10.9.8.20' 'end 10.9.8.20' 'interface peer' 'lease_file /leases' \
        'opt subnet 255.255.255.0' 'opt router 10.9.8.1' 'opt dns 10.9.8.1' >/udhcpd.conf
    busybox udhcpd -f /udhcpd.conf >/dev/null 2>&1 & server=$!
    $1 {network} up
    for turn in $(seq 100); do [ ! -s /etc/resolv.conf ] || break; sleep 0.1; done
    cat /etc/resolv.conf
    ip -brief address show dev eth0 | grep -o ' 10[^ ]*'
    $1 {network} down
    ip -brief address show dev eth0 | grep -o 'DOWN .*'
    kill $server
"""


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh", "/usr/lib/klibc/bin/sh"])
def test_a_real_dhcp_server_gives_an_address(tmp_path: Path, shell: str) -> None:
    """With klibc's ipconfig, in each shell that an initramfs may have."""
    if not Path("/usr/lib/klibc/bin/ipconfig").exists():
        unavailable("klibc-utils is missing")
    ipconfig = Path("/usr/lib/klibc/bin/ipconfig").read_bytes()
    tree = system(tmp_path)
    put(tree, {"usr/bin/ipconfig": ipconfig})
    script = REAL.format(network=NETWORK)
    words = ["unshare", "--net", "sh", "-c", script, "sh", shell]
    if "klibc" in shell or "busybox" in shell:
        words[4] = script.replace("$1 ", f"{shell} ")
    said = on_a_copy(tree, tmp_path / "result", *words).splitlines()
    assert [line.strip() for line in said] == [
        "nameserver 10.9.8.1",
        "10.9.8.20/24",
        "DOWN",
    ]


NAMES = """
    rm -f /etc/resolv.conf
    {network} names & names=$!
    sleep 1.5
    mkdir -p /run/systemd/netif
    printf '%s\n' ADMIN_STATE=degraded 'DNS=10.0.2.3 fec0::3' NTP= >/run/systemd/netif/state
    wait $names
    cat /etc/resolv.conf
"""


def test_names_from_systemd_networkd(tmp_path: Path) -> None:
    script = NAMES.format(network=NETWORK)
    said = on_a_copy(system(tmp_path), tmp_path / "result", "sh", "-c", script)
    assert said == "nameserver 10.0.2.3\nnameserver fec0::3\n"


@pytest.mark.parametrize(
    "hook",
    [
        "/usr/share/initramfs-tools/scripts/local-premount/0torpor",
        "/usr/share/initramfs-tools/scripts/nfs-premount/0torpor",
        ". /usr/lib/initcpio/hooks/torpor; run_hook",
    ],
)
def test_the_hooks_bring_it_up_before_the_resumer_and_down_after(tmp_path: Path, hook: str) -> None:
    tree = tmp_path / "system"
    lay_out(tree, None)
    for path, said in ((NETWORK, 'echo "network $1"'), (RESUMER, "echo resumer; exit 7")):
        put(tree, {path: f"#!/bin/sh\n{said}\n"})
        (tree / path.lstrip("/")).chmod(0o755)
    script = f"mkdir /conf; {hook}; cat /conf/param.conf; cat /tmp/cmdline | tail -n 1"
    said = on_a_copy(tree, tmp_path / "result", "/bin/busybox", "sh", "-c", script)
    assert said.startswith("network up\nresumer\nnetwork down\n")
    assert re.search("^(resume=|noresume=y)$", said, re.MULTILINE), "the status is the resumer's"


def test_dracut_needs_its_network_there_alone(tmp_path: Path) -> None:
    script = f"""
        dracut_module_included() {{ [[ $1 == systemd ]]; }}
        dracut_module_path() {{ echo /none; }}
        . {ROOT}/initramfs/dracut/module-setup.sh
        depends
    """
    variables = {"dracutsysrootdir": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert output("bash", "-c", f"{script}:", env=variables) == ""
    have_server(tmp_path)
    assert output("bash", "-c", script, env=variables) == "network\n"


DRACUT_HOOK = """
    mkdir -p /hooks/initqueue/finished; echo 'exit 1' >/hooks/initqueue/finished/wait-network.sh
    rm -f /usr/lib/systemd/systemd-networkd
    hookdir=/hooks
    getarg() {{ case " $cmdline " in *" $1"*) echo "$1" ;; *) return 1 ;; esac; }}
    getargnum() {{ case $cmdline in "$4"*) echo "${{cmdline#*=}}" ;; *) echo "$1" ;; esac; }}
    cmdline=$1
    hook() {{ . /usr/lib/dracut/modules.d/55torpor/torpor-network.sh; }}
    {before}
    hook
    cat /etc/cmdline.d/55torpor-network.conf
    cat /etc/dhclient.conf
    read -r up _ </proc/uptime
    hook
    limit=$(sed -n 's/.*-ge \\([0-9]*\\) .*/\\1/p' /hooks/initqueue/finished/wait-network.sh)
    echo "$((limit - ${{up%.*}}))"
    (. /hooks/initqueue/finished/wait-network.sh); echo $?
    touch /tmp/net.eth0.did-setup
    (. /hooks/initqueue/finished/wait-network.sh); echo $?
"""


@pytest.mark.parametrize(
    ("cmdline", "before", "seconds"),
    [
        ("quiet", "", f"{SERVER_TIMEOUT:.0f}"),
        ("resumewait", "", f"{LONG_TIMEOUT:.0f}"),
        ("torpor.timeout=9", "", "9"),
        ("quiet", "echo 'send x;' >/etc/dhclient.conf", "22"),
        ("torpor.timeout=0", "echo 'send x;' >/etc/dhclient.conf", "1"),
        ("ip=10.0.0.2::10.0.0.1:24:h::off", "", None),
        ("BOOTIF=01-00", "", None),
        ("quiet", "touch /usr/lib/systemd/systemd-networkd", None),
    ],
)
def test_dracut_is_asked_for_the_network_where_nobody_else_does(
    tmp_path: Path, cmdline: str, before: str, seconds: str | None
) -> None:
    """And then waits 15 s for it; else as long as what asked would."""
    tree = tmp_path / "system"
    lay_out(tree, None)
    script = DRACUT_HOOK.format(before=before)
    words = ["dash", "-c", f"exec 2>/dev/null; rm -f /tmp/net.*\n{script}", "sh", cmdline]
    said = on_a_copy(tree, tmp_path / "result", *words).splitlines()
    if seconds:
        if "dhclient" in before:
            assert said.pop(1) == "send x;"
            assert said.pop(1) == f"timeout {seconds};"
        assert said == [f"rd.neednet=1 ip=dhcp rd.net.timeout.dhcp={seconds}", "15", "1", "0"]
    else:
        assert said[-2:] == ["1", "1"]
        assert not any("neednet" in line for line in said)
