"""The parent process alone: its data process does what the test says (double.c)."""
import os
import signal
import socket
import struct
import time

import pytest

import forge
import netlab
from netlab import wait_for

ADD, DEL, DEFAULT, STATUS, READY, RECOVERED, VERDICT, LOG = range(1, 9)
REPLY, STATUS_REPLY, QUEUED, LOCAL, STOP = range(9, 14)
IN, OUT = 1, 2


@pytest.fixture(autouse=True)
def double(monkeypatch):
    monkeypatch.setattr(netlab, "TESTUDOD",
                        os.path.join(netlab.BUILD, "tests/netns/testudod-double"))


class Data:
    """Speaks as the data process of a host."""

    def __init__(self, host):
        self.host = host
        self.connect()

    def connect(self):
        # Abstract sockets belong to a network namespace: connect from inside of it.
        self.s = in_namespace(self.host, self._connect)

    @staticmethod
    def _connect():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(5)
        s.connect("\0testudo/ctl")
        return s

    def ask(self, command, data=b""):
        self.s.send(command + data)
        answer = self.s.recv(1 << 18)
        assert answer[:1] == b"."
        return answer[1:]

    def raw(self, kind, body=b""):
        return self.ask(b"I", struct.pack("=II", kind, 7) + body)

    def call(self, kind, body=b""):
        answer = self.raw(kind, body)
        got, seq, result = struct.unpack("=IIi", answer)
        assert (got, seq) == (REPLY, 7)
        return result

    def status(self):
        answer = self.raw(STATUS)
        names = ("guard_drops repairs queued restarts cover_entries cover_coarsened recovering "
                 "has_owner_table has_nfqueue has_inet has_inet6").split()
        return dict(zip(names, struct.unpack_from("=QQQQIIBBBBB", answer, 8)))

    def packet(self):
        return self.ask(b"T")


def in_namespace(host, what):
    """Runs what() in the host's network namespace."""
    libc_setns = __import__("ctypes").CDLL(None, use_errno=True).setns
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host.name}", os.O_RDONLY)
    try:
        assert libc_setns(there, 0) == 0
        return what()
    finally:
        assert libc_setns(here, 0) == 0
        os.close(here)
        os.close(there)


def address(text):
    b = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    return struct.pack("B3x16s", 6 if ":" in text else 4, b)


def cover(direction, src, dst, proto=255):
    """struct tdo_ipc_cover"""
    def part(prefix):
        a, n = prefix.split("/")
        return address(a), int(n)
    (s, sn), (d, dn) = part(src), part(dst)
    return struct.pack("B", direction) + b"\0" + (
        s + d + struct.pack("BBBxHHHH", sn, dn, proto, 0, 65535, 0, 65535))


def attached(lab, conf=""):
    w, a, b = netlab.two_hosts(lab)
    a.start(conf)
    return w, a, b, Data(a)


def cover_peer(d, direction=OUT):
    pairs = (("10.1.1.1/32", "20.1.1.1/32"), ("fd10::1/128", "fd20::1/128"))
    for mine, peer in pairs:
        if direction == IN:
            mine, peer = peer, mine
        assert d.call(ADD, cover(direction, mine, peer)) == 0


def left_behind(a):
    text = a.run("nft", "list", "tables") + a.ip("rule") + a.ip("-6", "rule") + a.ip("link")
    return [word for word in ("testudo", "5800") if word in text]


def assert_no_clear(c):
    assert not c.clear(["10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"])


def test_covered_packets_go_into_the_tun(lab):
    w, a, b, d = attached(lab)
    assert a.ping("20.1.1.1", 1) == 1 and a.ping("fd20::1", 1) == 1
    cover_peer(d)
    with w.capture() as c:
        assert a.ping("20.1.1.1", 1) == 0 and a.ping("fd20::1", 1) == 0
    assert_no_clear(c)
    seen = [d.packet()[10:11] for _ in range(2)]
    assert {s[0] >> 4 for s in seen} == {4, 6}
    for mine, peer in (("10.1.1.1/32", "20.1.1.1/32"), ("fd10::1/128", "fd20::1/128")):
        assert d.call(DEL, cover(OUT, mine, peer)) == 0
    wait_for("narrowed", lambda: a.ping("20.1.1.1", 1) == 1 and a.ping("fd20::1", 1) == 1)


def test_covers_come_and_go_together(lab):
    w, a, b, d = attached(lab)
    each = [cover(OUT, "10.1.1.1/32", f"20.1.1.{i}/32") for i in range(1, 129)]
    before = d.status()["cover_entries"]
    assert d.call(ADD, b"".join(each)) == 0
    assert d.status()["cover_entries"] == before + 128
    with w.capture() as c:
        assert a.ping("20.1.1.1", 1) == 0
    assert_no_clear(c)
    # Of both directions and families, for it is not said when.
    assert d.call(ADD, cover(IN, "fd20::1/128", "fd10::1/128")) == 0
    assert d.call(DEL, b"".join(each[:-1]) + cover(IN, "fd20::1/128", "fd10::1/128")) == 0
    assert d.status()["cover_entries"] == before + 1
    # One that is not there is said, the others go all the same.
    assert d.call(DEL, cover(OUT, "10.1.1.1/32", "20.1.1.1/32") + each[-1]) == -2
    assert d.status()["cover_entries"] == before
    wait_for("clear packets", lambda: a.ping("20.1.1.1", 1) == 1)


def test_packets_sent_again_leave(lab):
    """The socket for clear packets: neither diverted nor stopped; the protected one: not tracked."""
    w, a, b, d = attached(lab)
    cover_peer(d)
    a.ping("20.1.1.1", 1)
    packet = d.packet()[10:]
    with w.capture() as c:
        d.ask(b"C", packet)
        time.sleep(0.2)
    assert len(c.clear(["10.1.1.1", "20.1.1.1"])) >= 1
    # Somebody else overwrites all marks: the sockets' marks count.
    a.nft("table inet other { chain o { type filter hook output priority 10; meta mark set 5; }; }")
    with w.capture() as c:
        d.ask(b"C", packet)
        d.ask(b"S", packet)
        time.sleep(0.2)
    assert len(c.clear(["10.1.1.1", "20.1.1.1"])) >= 2
    assert d.packet() == b""


def test_raw_sockets_keep_what_ah_protects(lab):
    """All of an IPv4 header arrives as it was sent, but for an identification of 0 without DF."""
    w, a, b, d = attached(lab)
    assert a.ping("20.1.1.1", 1) == 1

    def on_the_wire(packet):
        packet = bytes(forge.IP(bytes(packet)))
        with w.capture() as c:
            d.ask(b"S", packet)
            time.sleep(0.1)
        (got,) = [p.ip for p in c.packets() if p.ip is not None and p.proto == 51]
        return packet, got

    alert = forge.IPOption(b"\x94\x04\0\0")
    for header in (dict(id=0, flags="DF"), dict(id=0x1234, flags="DF"), dict(id=0x1234),
                   dict(id=0, flags="DF", options=[alert], tos=0xb9, ttl=7),
                   dict(id=0x4321, options=[alert], tos=3, ttl=1)):
        sent, got = on_the_wire(forge.IP(src="10.1.1.1", dst="20.1.1.1", proto=51, **header) /
                                (b"ah" * 40))
        assert sent == got, header
    sent, got = on_the_wire(forge.IP(src="10.1.1.1", dst="20.1.1.1", proto=51, id=0) / (b"ah" * 40))
    assert sent[4:6] == b"\0\0" != got[4:6] and sent[12:] == got[12:]


def test_queued_packets_wait_for_a_verdict(lab):
    w, a, b, d = attached(lab)
    cover_peer(d, IN)
    p = b.popen("ping", "-c", "1", "-W", "3", "10.1.1.1")

    def queued():
        m = d.ask(b"A")
        return m if m[:4] == struct.pack("=I", QUEUED) else None
    m = wait_for("a queued packet", queued)
    # Message of nfnetlink: 16 + 4 bytes of headers, then the attribute PACKET_HDR with the id.
    at = m.index(struct.pack("=HH", 11, 1), 8)
    d.raw(VERDICT, m[at + 4:at + 8] + struct.pack("=Bxxx", 1))
    assert p.wait(timeout=5) == 0
    p = b.popen("ping", "-c", "1", "-W", "1", "10.1.1.1")
    m = wait_for("a queued packet", queued)
    at = m.index(struct.pack("=HH", 11, 1), 8)
    d.raw(VERDICT, m[at + 4:at + 8] + struct.pack("=Bxxx", 0))
    assert p.wait(timeout=5) != 0
    assert d.status()["queued"] == 2


def test_addresses_are_told(lab):
    w, a, b, d = attached(lab)

    def told(text):
        m = d.ask(b"A")
        return m[:4] == struct.pack("=I", LOCAL) and address(text) in m[8:]
    wait_for("own addresses", lambda: told("10.1.1.1"))
    a.ip("addr", "add", "198.51.100.9/32", "dev", "lo")
    wait_for("the new address", lambda: told("198.51.100.9"))


@pytest.mark.parametrize("bad", [
    struct.pack("=I", ADD), struct.pack("=II", 0, 1), struct.pack("=II", 99, 1),
    struct.pack("=II", ADD, 1) + b"\0" * 4, struct.pack("=II", STOP, 1),
    struct.pack("=II", ADD, 1) + cover(3, "10.1.1.1/32", "20.1.1.1/32"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/33", "20.1.1.1/32"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/24", "20.1.1.1/32"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/32", "fd20::1/128"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/32", "20.1.1.1/32") + b"\0",
    struct.pack("=II", ADD, 1) + 129 * cover(OUT, "10.1.1.1/32", "20.1.1.1/32"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/32", "20.1.1.1/32") +
    cover(IN, "20.1.1.1/32", "10.1.1.1/32"),
    struct.pack("=II", ADD, 1) + cover(OUT, "10.1.1.1/32", "20.1.1.1/32") +
    cover(OUT, "fd10::1/128", "fd20::1/128"),
    struct.pack("=II", DEL, 1) + cover(OUT, "10.1.1.1/32", "20.1.1.1/32") +
    cover(OUT, "10.1.1.1/33", "20.1.1.1/32"),
    struct.pack("=II", DEFAULT, 1) + b"\x05\x01", struct.pack("=II", READY, 0),
    struct.pack("=II", VERDICT, 0) + b"\0" * 9, struct.pack("=II", LOG, 0),
    struct.pack("=II", LOG, 0) + b"\x09text", struct.pack("=II", VERDICT, 0) + b"\0\0\0\0\2\0\0\0",
])
def test_nonsense_ends_the_data_process(lab, bad):
    """A taken-over data process can do what the protocol allows and nothing else."""
    w, a, b, d = attached(lab)
    cover_peer(d)
    pid = a.data_pid()
    try:
        d.ask(b"I", bad)
    except (socket.timeout, AssertionError, ConnectionError):
        pass
    wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
    assert "made no sense" in a.log()


def test_log_text_cannot_command_a_terminal(lab):
    w, a, b, d = attached(lab)
    d.raw(LOG, b"\x01one\x1b[2Jtwo\nthree")
    wait_for("the line", lambda: "warning: one?[2Jtwo?three\n" in a.log())


def test_cover_of_a_dead_data_process_stays_until_ready(lab):
    w, a, b, d = attached(lab)
    cover_peer(d)
    os.kill(a.data_pid(), signal.SIGKILL)
    d.connect()
    assert d.status()["restarts"] == 1
    # The double adds nothing before READY: what the old one covered is open then, and not before.
    wait_for("dropped", lambda: d.status()["cover_entries"] == 0)
    wait_for("open", lambda: a.ping("20.1.1.1", 1) == 1)
    # It dies again, and the next restart waits a second: closed meanwhile.
    cover_peer(d)
    with w.capture() as c:
        os.kill(a.data_pid(), signal.SIGKILL)
        assert a.ping("20.1.1.1", 1, wait=0.5) == 0
    assert_no_clear(c)


def test_crashed_run_stays_in_force_until_recovered(lab):
    w, a, b, d = attached(lab)
    cover_peer(d)
    with w.capture() as c:
        a.kill_parent()
        assert a.ping("20.1.1.1", 1) == 0 and a.ping("fd20::1", 1) == 0
        a.start()
        d = Data(a)
        assert d.status()["recovering"] == 1
        assert a.ping("20.1.1.1", 1) == 0 and a.ping("fd20::1", 1) == 0
        assert d.packet() != b"", "covered by the old table, seen by the new TUN"
        # A second crash in the middle of that changes nothing.
        a.kill_parent()
        a.start()
        d = Data(a)
        assert d.status()["recovering"] == 1
        assert a.ping("20.1.1.1", 1) == 0
    assert_no_clear(c)
    d.raw(RECOVERED)
    wait_for("recovered", lambda: d.status()["recovering"] == 0)
    assert a.ping("20.1.1.1", 1) == 1
    a.stop()
    assert left_behind(a) == []


def test_fail_open_opens(lab):
    w, a, b, d = attached(lab, "fail open\n")
    cover_peer(d)
    assert a.ping("20.1.1.1", 1) == 0
    a.kill_parent()
    wait_for("open", lambda: a.ping("20.1.1.1", 1) == 1 and a.ping("fd20::1", 1) == 1)


def test_repairs(lab):
    w, a, b, d = attached(lab)
    cover_peer(d)
    commands = [("rule", "del", "priority", "10"), ("-6", "rule", "del", "priority", "10"),
                ("route", "flush", "table", "5800"), ("-6", "route", "flush", "table", "5800"),
                ("addr", "flush", "dev", "testudo0"), ("link", "set", "testudo0", "down"),
                ("link", "set", "testudo0", "mtu", "1500")]
    with w.capture() as c:
        for words in commands:
            before = d.status()["repairs"]
            a.ip(*words, check=False)  # "ip addr flush" gives up against a repair
            if "mtu" not in words:
                wait_for(f"repair of {words}", lambda: d.status()["repairs"] > before)
            while d.packet():
                pass
            a.ping("20.1.1.1", 1)
            assert d.packet() != b"", f"not diverted after {words}"
        a.run("nft", "flush", "ruleset", check=False)
        a.run("sysctl", "-qw", "net.ipv4.conf.testudo0.rp_filter=1")
        wait_for("rp_filter", lambda: a.run(
            "sysctl", "-n", "net.ipv4.conf.testudo0.rp_filter").strip() == "2")
        assert a.ping("20.1.1.1", 1) == 0
    assert_no_clear(c)
    assert "mtu 65535" in a.ip("link", "show", "testudo0")


def test_deleted_tun_is_made_again(lab):
    w, a, b, d = attached(lab)
    cover_peer(d)
    pid = a.data_pid()
    with w.capture() as c:
        a.ip("link", "del", "testudo0")
        wait_for("a new data process", lambda: a.data_pid() not in (None, pid))
    assert_no_clear(c)
    d.connect()
    cover_peer(d)
    a.ping("20.1.1.1", 1)
    assert d.packet() != b""
    a.stop()
    assert left_behind(a) == []


def test_default_discard(lab):
    w, a, b, d = attached(lab)
    assert d.call(DEFAULT, b"\x04\x01") == 0
    assert a.ping("20.1.1.1", 1) == 0 and d.packet() != b""
    assert a.ping("fd20::1", 1) == 1
    assert b.ping("10.1.1.1", 1) == 0
    assert d.call(DEFAULT, b"\x04\x00") == 0
    assert a.ping("20.1.1.1", 1) == 1


def test_device_bound_socket_is_stopped_and_counted(lab):
    w, a, b, d = attached(lab)
    cover_peer(d)
    dev = [line.split(":")[1].split("@")[0].strip() for line in a.ip("-o", "link").splitlines()
           if "veth" in line or "@" in line][0]
    before = d.status()["guard_drops"]
    with w.capture() as c:
        a.run("ping", "-c", "1", "-W", "1", "-I", dev, "20.1.1.1", check=False)
    assert_no_clear(c)
    assert d.status()["guard_drops"] > before


def test_bad_setkey_file_ends_the_start(lab):
    w, a, b = netlab.two_hosts(lab)
    path = os.path.join(lab.dir, "policies")
    with open(path, "w") as f:
        f.write("nonsense\n")
    conf = os.path.join(lab.dir, "conf")
    with open(conf, "w") as f:
        f.write(f"setkey {path}\n")
    out = a.run(netlab.TESTUDOD, "-f", conf, check=False, timeout=10)
    assert f"setkey -f {path}" in out
    assert left_behind(a) == []


def test_ordered_stop_removes_everything(lab):
    w, a, b = netlab.two_hosts(lab)
    for conf, words in (("", ("testudo", "5800")),
                        ("tun ipsec7\ntable 77\nrule-priority 99\nqueue 3\nmark-mask 0xff00\n"
                         "workers 3\n", ("ipsec7", "lookup 77", "testudo"))):
        a.start(conf)
        d = Data(a)
        cover_peer(d)
        cover_peer(d, IN)
        assert all(s in a.ip("rule") + a.ip("link") + a.run("nft", "list", "tables")
                   for s in words)
        a.stop()
        text = (a.run("nft", "list", "tables") + a.ip("rule") + a.ip("-6", "rule") +
                a.ip("link") + a.ip("route", "show", "table", "all") +
                a.ip("-6", "route", "show", "table", "all"))
        assert not [s for s in words if s in text]
