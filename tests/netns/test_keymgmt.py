"""Key management over the real sockets: packets that wait, dumps, clients that do not read."""
import os
import signal
import socket
import subprocess
import time

import keys
import netlab

A, B = "10.1.1.1", "20.1.1.1"
REQUIRE = "esp/transport//require"


def key_manager(host, *words):
    p = host.popen("/usr/bin/python3", os.path.join(netlab.HERE, "keymanager.py"), *words,
                   stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    return p


def test_d38_first_ping_gets_through(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    b.start()
    sas, pa, pb = keys.transport(A, B)
    back = sas.splitlines()[1]  # what b sends, both know it; a's own SA comes from key management
    a.setkey(back + pa)
    b.setkey(sas + pb)
    p = key_manager(a, "add", "1.5", "0x1000", keys.GCM_AB[2:])
    with w.capture() as c:
        assert a.ping(B, 4, wait=10) == 4  # 0.2 seconds of pings: all of them wait
    assert p.stdout.readline().strip() == b"acquire"
    assert p.stdout.readline().strip() == b"done"
    assert c.clear([A, B]) == []
    assert a.stat("out-held") == 4
    numbers = [int.from_bytes(x.payload[4:8], "big") for x in c.esp([A, B]) if x.src == A]
    assert numbers == [1, 2, 3, 4]
    assert a.drops("out-no-sa") == 0
    assert a.ping(B, 1) == 1
    assert a.stat("out-held") == 4


def test_key_manager_gives_up(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    a.setkey(keys.policies(A, B, REQUIRE))
    p = key_manager(a, "refuse", "0.5")
    with w.capture() as c:
        assert a.ping(B, 1) == 0
        assert p.stdout.readline().strip() == b"acquire"
        assert p.stdout.readline().strip() == b"done"
        netlab.wait_for("the drop", lambda: a.drops("hold-refused") == 1)
    assert c.between([A, B]) == []
    # Without a key manager there is nobody to wait for.
    p.kill()
    p.wait()
    netlab.wait_for("no key manager", lambda: a.ping(B, 1) == 0 and a.drops("out-no-sa") > 0)


def test_waiting_packets_never_go_in_clear(lab):
    """Whatever becomes of their policy and of the processes."""
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    a.setkey(keys.policies(A, B, REQUIRE))
    p = key_manager(a, "refuse", "100")
    with w.capture() as c:
        for n, change in enumerate((f"spdflush;\n{keys.policies(A, B, REQUIRE)}", "spdflush;",
                                    f"spdupdate {A} {B} any -P out none;"), 1):
            a.setkey(f"spdupdate {A} {B} any -P out ipsec {REQUIRE};")
            assert a.ping(B, 3) == 0
            netlab.wait_for("packets wait", lambda: a.stat("out-held") == 3 * n)
            a.setkey(change)
            if n > 1:
                netlab.wait_for("drops", lambda: a.drops("hold-policy-changed") == 3 * n)
        a.setkey(f"spdupdate {A} {B} any -P out ipsec {REQUIRE};")
        assert a.ping(B, 3) == 0
        pid = a.data_pid()
        os.kill(pid, signal.SIGKILL)
        netlab.wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
        p.wait()
        p = key_manager(a, "refuse", "100")
        netlab.wait_for("packets wait", lambda: a.ping(B, 3) == 0 and a.stat("out-held") > 0)
        a.stop()
    assert c.clear([A, B]) == []


def dump(host, node, path):
    with open(path, "wb") as f:
        subprocess.run(host.argv(netlab.TESTUDO, "sysctl", "-b", node), stdout=f, check=True,
                       timeout=60)
    return os.path.getsize(path)


def test_dumps_by_sysctl(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    path = os.path.join(lab.dir, "dump")
    assert dump(a, "net.key.dumpsa", path) == 0
    n = 3000
    a.setkey("".join(f"add {A} {B} esp {0x1000 + i} -E aes-gcm-16 {keys.GCM_AB};\n"
                     for i in range(n)) + keys.policies(A, B, REQUIRE))
    dump(a, "net.key.dumpsa", path)
    out = a.run(netlab.SETKEY, path)
    assert out.count("SADB_DUMP") == n and out.count("key=a1a1a1a1") == n
    assert f"spi={0x1000 + n - 1} " in out and " seq=0 " in out
    dump(a, "net.key.dumpsa.3", path)
    assert a.run(netlab.SETKEY, path).count("key=a1a1a1a1") == n
    assert dump(a, "net.key.dumpsa.2", path) == 0
    dump(a, "net.key.dumpsp", path)
    assert a.run(netlab.SETKEY, path).count("SADB_X_SPDDUMP") == 2
    # As text: numbers, never keys.
    text = a.run(netlab.TESTUDO, "sysctl", "net.key.dumpsa", "net.key.dumpsa.3", "net.key.dumpsp",
                 "net.key.stats", "-a")
    assert f"net.key.dumpsa = {n}" in text and f"net.key.dumpsa.3 = {n}" in text
    assert "net.key.dumpsp = 2" in text and "net.key.stats.out_total = " in text
    assert "a1a1" not in text
    for wrong in (["-b", "net.key.debug"], ["-b", "net.key.dumpsa.x"], ["-b"],
                  ["net.key.dumpsa=1"], ["net.key.dumpsa."], ["net.key.dumpsa.3x"]):
        assert not a.ok(netlab.TESTUDO, "sysctl", *wrong)
    if os.geteuid() == 0 and netlab.sh("cat", "/proc/self/uid_map").split()[2] != "1":
        for node in ("net.key.dumpsa", "net.key.dumpsp"):
            r = subprocess.run(a.argv("setpriv", "--reuid=65534", "--clear-groups", netlab.TESTUDO,
                                      "sysctl", "-b", node), capture_output=True, timeout=60)
            assert r.returncode != 0 and r.stdout == b""


STALLED = """
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect("\\0testudo/pfkey")
s.send(struct.pack("<BBBBHHII", 2, 10, 0, 0, 2, 0, 1, os.getpid()))
print("up", flush=True)
sys.stdin.read()
n, last = 0, None
s.settimeout(2)
try:
    while True:
        m = s.recv(1 << 16)
        n += m[1] == 10
        if m[1] == 10:
            last = struct.unpack("<I", m[8:12])[0]
except socket.timeout:
    pass
print(n, last)
"""


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_d02_a_client_that_does_not_read_blocks_nobody(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    n = 5000
    a.setkey("".join(f"add {A} {B} esp {0x10000 + i} -E aes-gcm-16 {keys.GCM_AB};\n"
                     for i in range(n)))
    p = a.popen("/usr/bin/python3", "-c", STALLED, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline().strip() == b"up"
    changes = "".join(f"add {B} {A} esp {0x10000 + i} -E aes-gcm-16 {keys.GCM_BA};\n"
                      f"delete {B} {A} esp {0x10000 + i};\n" for i in range(10000))
    a.setkey(changes)
    before = rss(a.data_pid())
    a.setkey(changes)
    a.setkey(changes)
    assert rss(a.data_pid()) - before < 20000, "kilobytes more for a client that does not read"
    assert a.run(netlab.SETKEY, "-D").count("mature") >= n
    # Its own dump is complete all the same.
    out, _ = p.communicate(timeout=60)
    assert out.split() == [str(n).encode(), b"0"]


# An ADD of more than 16,000 bytes; then messages that are no messages: each has its answer.
TALK = """
import errno, socket, struct
from keymanager import *

s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
s.connect("\\0testudo/pfkey")


def address(kind, last):
    return ext(kind, bytes([255, 32, 0, 0, 16, 2, 0, 0, 10, 0, 0, last]) + bytes(8))


def identity(kind):
    return ext(kind, struct.pack("<HHQ", 2, 0, 0) + b"x" * 7900 + bytes(1))


sa = ext(SA, struct.pack(">I", 0x1000) + bytes([4, 1, 0, 20]) + bytes(4))
key = ext(KEY_E, struct.pack("<HH", 160, 0) + bytes(range(20)))
m = message(ADD, sa, address(SRC, 1), address(DST, 2), key, identity(10), identity(11), seq=7)
s.send(m)
r = receive(s, ADD)
assert len(m) > 15000 and r[2] == 0 and len(r) == len(m) - len(key), (r[2], len(r))
assert extensions(r)[10] == extensions(m)[10]
bad = [bytes(n) for n in range(1, 40)]
bad += [m[:n] for n in (8, 16, 17, 24, 1000, len(m) - 8)]
bad += [m[:16] + bytes(8) + m[24:], m + bytes(8), m[:18] + bytes([99]) + m[19:], bytes(70000)]
cut = m[:4] + struct.pack("<H", 8192) + m[6:16] + bytes(70000)  # its length is right when cut off
for b in bad:
    s.send(b)
    r = s.recv(1 << 16)
    assert len(r) == 16 and r[2] != 0, (len(b), r)
s.send(cut)
assert s.recv(1 << 16)[2] == errno.EMSGSIZE
print("good", len(bad))
"""


def test_d51_d52_long_and_broken_messages_are_answered(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    out = a.run("env", f"PYTHONPATH={netlab.HERE}", "/usr/bin/python3", "-B", "-c", TALK)
    assert out.split()[0] == "good"
    assert a.run(netlab.SETKEY, "-D").count("mature") == 1


# Each has said all that it has to say before it reads: one asks, one registers, one sends nothing at all first.
HALF = """
import socket, struct, time
from keymanager import *


def talk(*messages):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect("\\0testudo/pfkey")
    for m in messages:
        s.send(m)
    s.shutdown(socket.SHUT_WR)
    return s


def base(kind):
    return struct.pack("<BBBBHHII", 2, kind, 0, 0, 2, 0, 1, os.getpid())


time.sleep(0.5)
s = talk(base(10))
n = 0
while True:
    m = s.recv(1 << 16)
    assert m and m[1] == 10 and m[2] == 0, (n, m)
    n += 1
    if struct.unpack("<I", m[8:12])[0] == 0:
        break
listener = talk(b"", message(REGISTER, seq=1))
m = listener.recv(1 << 16)
assert m[2] == 90, m  # EMSGSIZE, of the message that is none
m = listener.recv(1 << 16)
assert m[1] == REGISTER and m[2] == 0, m
print("up", n, flush=True)
m = receive(listener, ADD)
print("added", flush=True)
sys.stdin.read()
"""


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13])


def test_half_closed_clients_hear_all(lab):
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    n = 3000
    a.setkey("".join(f"add {A} {B} esp {0x10000 + i} -E aes-gcm-16 {keys.GCM_AB};\n"
                     for i in range(n)))
    p = a.popen("env", f"PYTHONPATH={netlab.HERE}", "/usr/bin/python3", "-B", "-c", HALF,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline().split() == [b"up", str(n).encode()]
    before = cpu(a.data_pid())
    time.sleep(2)
    assert cpu(a.data_pid()) - before < 50, "the daemon spins"
    a.setkey(f"add {B} {A} esp 0x1000 -E aes-gcm-16 {keys.GCM_BA};\n")
    assert p.stdout.readline().strip() == b"added"
    p.communicate(timeout=10)
    assert a.run(netlab.SETKEY, "-D").count("mature") == n + 1
