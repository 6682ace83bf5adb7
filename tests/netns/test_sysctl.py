"""testudo sysctl takes the words of sysctl(8), through a running daemon."""
import json
import os
import subprocess

import keys
import netlab
import pytest

A, B = "10.1.1.1", "20.1.1.1"
DFBIT, ECN = "net.inet.ipsec.dfbit", "net.inet.ipsec.ecn"


class Sysctl:
    """testudo sysctl on a host: exit status, standard output, standard error."""

    def __init__(self, host):
        self.host = host

    def __call__(self, *words, input=None):
        r = subprocess.run(self.host.argv(netlab.TESTUDO, "sysctl", *words), text=True,
                           input=input, capture_output=True, timeout=60)
        return r.returncode, r.stdout, r.stderr

    def ok(self, *words, **kw):
        code, out, err = self(*words, **kw)
        assert (code, err) == (0, ""), f"{words}: {code} {err}"
        return out

    def fails(self, *words, **kw):
        code, out, err = self(*words, **kw)
        assert code == 1 and err.startswith("testudo: "), f"{words}: {code} {out} {err}"
        return err


@pytest.fixture
def host(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    return a.start()


@pytest.fixture
def sysctl(host):
    return Sysctl(host)


def test_reading(sysctl):
    assert sysctl.ok(DFBIT) == f"{DFBIT} = 2\n"
    assert sysctl.ok(DFBIT, ECN) == f"{DFBIT} = 2\n{ECN} = 0\n"
    assert sysctl.ok("-n", DFBIT) == "2\n"
    assert sysctl.ok("-N", DFBIT) == f"{DFBIT}\n"
    assert sysctl.ok("-e", DFBIT) == f"{DFBIT}=2\n"
    assert sysctl.ok("-t", DFBIT) == f"{DFBIT}: integer\n"
    assert sysctl.ok("-x", "net.key.spi_max_value") == "net.key.spi_max_value = 0xfffffff\n"
    assert sysctl.ok("-d", DFBIT).startswith(f"{DFBIT}: DF of the outer IPv4 header")
    assert sysctl.ok("-nd", DFBIT).startswith("DF of the outer")
    # A name is shown as it was asked for.
    for name in ("net.key.prefered_oldsa", "net.key.preferred_oldsa"):
        assert sysctl.ok(name) == f"{name} = 0\n"
    everything = sysctl.ok("-a")
    assert everything == sysctl.ok() == sysctl.ok("-A")
    names = [line.split(" = ")[0] for line in everything.splitlines()]
    assert names == sysctl.ok("-aN").split()
    assert len(set(names)) == len(names) > 40
    for name in (DFBIT, "net.inet6.ipsec6.ecn", "net.key.debug", "kern.features.ipsec"):
        assert name in names
    # Options may stand anywhere, as with Linux's own.
    assert sysctl.ok(DFBIT, "-n") == "2\n"


def test_trees(sysctl):
    names = sysctl.ok("-N", "net.inet.ipsec").split()
    assert DFBIT in names and all(n.startswith("net.inet.ipsec.") for n in names)
    assert sysctl.ok("-N", "net.inet.esp").split() == [
        "net.inet.esp.trans_deflev", "net.inet.esp.net_deflev", "net.inet.esp.esp_enable",
        "net.inet.esp.ctr_compatibility"]
    assert sysctl.ok("-N", "net.inet6.esp6").split() == [
        "net.inet6.esp6.trans_deflev", "net.inet6.esp6.net_deflev", "net.inet6.esp6.esp_enable"]
    assert "net.inet6.ipsec6.used = 0\n" in sysctl.ok("net.inet6.ipsec6")
    assert "net.key.spi_trycnt" not in sysctl.ok("net.key")
    assert set(sysctl.ok("-N", "net").split()) < set(sysctl.ok("-aN").split())
    writable = sysctl.ok("-WaN").split()
    assert DFBIT in writable and "net.inet.ipsec.used" not in writable
    assert "no such variable" in sysctl.fails("net.inet.ip")


def test_writing(sysctl):
    assert sysctl.ok(f"{DFBIT}=1") == f"{DFBIT}: 2 -> 1\n"
    assert sysctl.ok("-w", f"{DFBIT}=0") == f"{DFBIT}: 1 -> 0\n"
    assert sysctl.ok("-w", f"{DFBIT}=0") == f"{DFBIT}: 0 -> 0\n"
    assert sysctl.ok("-n", f"{DFBIT}=0x2") == "0 -> 2\n"
    assert sysctl.ok("-q", f"{DFBIT}=1") == ""
    assert sysctl.ok(f"{ECN}=-1", DFBIT) == f"{ECN}: 0 -> -1\n{DFBIT} = 1\n"
    # Families that have values of their own, and such that share one.
    sysctl.ok("-q", "net.inet6.ipsec6.ecn=2", "net.inet6.esp6.esp_enable=0")
    assert sysctl.ok("-n", ECN, "net.inet6.ipsec6.ecn", "net.inet.esp.esp_enable") == "-1\n2\n0\n"
    sysctl.ok("-q", "net.inet.esp.trans_deflev=2")
    assert sysctl.ok("-n", "net.inet.ipsec.esp_trans_deflev") == "2\n"
    assert sysctl.ok("no.such.name?=1", f"{ECN}?=0") == f"{ECN}: -1 -> 0\n"


def test_refusals(sysctl):
    cases = {
        f"{DFBIT}=3": f"{DFBIT}: Invalid argument: it takes 0 to 2",
        f"{DFBIT}=-1": "it takes 0 to 2",
        f"{DFBIT}=4294967297": "it takes 0 to 2",
        "net.key.spi_max_value=2147483648": "it takes 256 to 2147483647",
        f"{DFBIT}=99999999999999999999": "it takes 0 to 2",
        f"{DFBIT}=": "'' is not a number",
        f"{DFBIT}=one": "'one' is not a number",
        f"{DFBIT}=1x": "'1x' is not a number",
        "net.inet.ipsec.used=1": "Operation not permitted: it cannot be set",
        "net.key.dumpsp=1": "Operation not permitted: it cannot be set",
        "net.inet.ipsec=1": "Operation not permitted: it cannot be set",
        "net.inet.ipsec.filtertunnel=0": "it is always 1: what comes out of a tunnel",
        "net.inet.ipsec.async_crypto=1": "it is always 0: every worker",
        "net.inet.ipsec.dfbti": "no such variable; is net.inet.ipsec.dfbit meant?",
        "dfbit=1": "no such variable; is net.inet.ipsec.dfbit meant?",
        "net.ipv4.ip_forward": "a matter of sysctl(8)",
        "net.inet.esp.esp_stats": "these are counters",
        "net.inet.ipsec.": "no such variable",
        "=1": "no such variable",
    }
    for word, text in cases.items():
        assert text in sysctl.fails(word), word
    assert "-w needs" in sysctl.fails("-w", DFBIT)
    assert sysctl.ok("-i", "no.such.name", DFBIT) == f"{DFBIT} = 2\n"
    # The others are done all the same.
    code, out, err = sysctl("no.such.name", f"{DFBIT}=1", f"{ECN}=7", ECN)
    assert code == 1 and out == f"{DFBIT}: 2 -> 1\n{ECN} = 0\n" and len(err.splitlines()) == 2
    for words in (["-z"], ["-f"], ["--all"]):
        assert sysctl(*words)[0] == 2


def test_files(sysctl, lab):
    path = os.path.join(lab.dir, "sysctl.conf")
    with open(path, "w") as f:
        f.write("# comment\n\n"
                f"{DFBIT}=1\t# as FreeBSD has it\n"
                f"  {ECN} = 2  \n"
                "kern.maxfiles=9\n"
                f"{DFBIT} = x\n"
                "net.key.larval_lifetime ?= 40\n")
    code, out, err = sysctl("-f", path)
    assert code == 1
    assert out == f"{DFBIT}: 2 -> 1\n{ECN}: 0 -> 2\nnet.key.larval_lifetime: 30 -> 40\n"
    assert f"{path}:5: kern.maxfiles: testudo has no such variable" in err
    assert f"{path}:6: {DFBIT}: 'x' is not a number" in err and len(err.splitlines()) == 2
    assert sysctl.ok("-f", "-", input=f"{DFBIT}=0") == f"{DFBIT}: 1 -> 0\n"
    assert sysctl.ok("-q", "-f", "-", DFBIT, input=f"{DFBIT}=2\n") == f"{DFBIT} = 2\n"
    assert "No such file" in sysctl.fails("-f", path + ".not")
    assert "too long" in sysctl.fails("-f", "-", input="#" + "x" * 5000 + "\n")


def test_json(host):
    def knobs(*words):
        return json.loads(host.run(netlab.TESTUDO, "sysctl", *words))["knobs"]

    (k,) = knobs(f"{DFBIT}=0", "--json")
    assert (k["name"], k["old"], k["value"], k["default"], k["min"], k["max"]) == (
        DFBIT, 2, 0, 2, 0, 2)
    assert k["read-only"] is False and k["help"].startswith("DF of")
    assert len(knobs("-a", "--json")) > 40


def test_enabled_and_used(host, sysctl):
    used = "net.inet.ipsec.used", "net.inet6.ipsec6.used"
    host.setkey(keys.transport(A, B)[0])
    assert sysctl.ok("-n", *used) == "0\n0\n"
    host.setkey(f"spdadd {A} {B} any -P out ipsec esp/transport//require;")
    assert sysctl.ok("-n", *used) == "1\n1\n"
    assert "resource busy" in sysctl.fails("net.inet.ipsec.enabled=0")
    host.setkey("spdflush;")
    sysctl.ok("-q", "net.inet6.ipsec6.enabled=0")
    said = host.setkey(f"spdadd {A} {B} any -P out ipsec esp/transport//require;", check=False)
    assert "Operation not supported" in said
    host.logs_once("IPsec is switched off (net.inet.ipsec.enabled is 0)")
    assert host.run(netlab.SETKEY, "-DP").strip() == "No SPD entries."
    sysctl.ok("-q", "net.inet.ipsec.enabled=1")
    host.setkey(f"spdadd {A} {B} any -P out ipsec esp/transport//require;")
    # What was set outlives the process that holds it.
    sysctl.ok("-q", f"{DFBIT}=1", "net.inet.ipsec.crypto_support=-1")
    pid = host.data_pid()
    os.kill(pid, 9)
    netlab.wait_for("a new data process", lambda: host.data_pid() not in (None, pid))
    netlab.wait_for("its answers", lambda: sysctl("-n", DFBIT)[0] == 0)
    assert sysctl.ok("-n", DFBIT, "net.inet.ipsec.crypto_support", *used) == "1\n-1\n1\n1\n"


def test_debug_is_heard(host, sysctl):
    sysctl.ok("-q", "net.inet.ipsec.debug=1")
    host.setkey(f"spdadd {A} {B} any -P out discard;")
    assert host.ping(B, 1) == 0
    netlab.wait_for("a line", lambda: "(out-policy-discard), last from 10.1.1.1" in host.log())


def test_faults(lab):
    """A peer that is sent wrong packets drops them; the log and doctor say so."""
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    b.start()
    s = Sysctl(a)
    sas, pa, pb = keys.transport(A, B)
    a.setkey(sas + pa)
    b.setkey(sas + pb)
    assert a.ping(B, 2) == 2
    names = "net.inet.ipsec.test_replay", "net.inet.ipsec.test_integrity"
    s.ok("-q", "net.inet.ipsec.test_replay=1")
    assert a.ping(B, 3) == 1
    assert b.drops("in-replay-duplicate") == 2
    s.ok("-q", "net.inet.ipsec.test_replay=0", "net.inet.ipsec.test_integrity=1")
    assert a.ping(B, 2) == 0
    assert b.drops("in-icv-mismatch") == 2
    for name in names:
        a.logs_once(f"{name} is 1: from now on")
    checks = json.loads(a.run(netlab.TESTUDO, "doctor", "--json", check=False))["checks"]
    assert [c["text"] for c in checks if c["check"] == "settings" and c["verdict"] == "warn"] == [
        "net.inet.ipsec.test_integrity is set: peers drop what this host sends"]
    s.ok("-q", "net.inet.ipsec.test_integrity=0", "net.inet.ipsec.esp_randpad=1000")
    with w.capture() as c:
        assert a.ping(B, 20) == 20
    assert len({len(x.payload) for x in c.esp([A, B]) if x.src == A}) > 5
    assert len({len(x.payload) for x in c.esp([A, B]) if x.src == B}) == 1


def test_without_daemon_and_without_rights(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    s = Sysctl(a)
    assert s(DFBIT, ECN, f"{ECN}=1") == (
        1, "", "testudo: testudod does not run in this network namespace\n")
    a.start()
    if os.geteuid() == 0 and netlab.sh("cat", "/proc/self/uid_map").split()[2] != "1":
        for word in (DFBIT, f"{DFBIT}=1", "-a"):
            r = subprocess.run(a.argv("setpriv", "--reuid=65534", "--clear-groups", netlab.TESTUDO,
                                      "sysctl", word), capture_output=True, text=True, timeout=60)
            assert r.returncode == 1 and r.stdout == "" and "only root" in r.stderr
        assert s.ok("-n", DFBIT) == "2\n"
