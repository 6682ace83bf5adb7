"""ESP in UDP (RFC 3948) between daemons, with a NAT that is nobody's friend between them."""
import contextlib
import os
import signal
import time

import pytest

import forge
import natlab
import netlab
from natlab import CLIENTS, INNER, Monitor, Nat, OUTSIDE, Owner, PORT, Seen, SERVER, SERVER_INNER, Streams, Ticker, TICKS
from netlab import wait_for
from test_leak import CHATTER

MODES = pytest.mark.parametrize("mode", ["transport", "tunnel"])
MB = 1 << 20
OUTER = [*OUTSIDE.values(), *SERVER.values()]
# Covered, as the wire inside of the NAT and the wire outside must not show it.
COVERED = [*CLIENTS[0].values(), *SERVER.values(), "10.8.0.0/16", "10.9.0.0/24", "fd08::/16", "fd09::/64"]


def up(lab, clients=1, conf="", **words):
    nat = Nat(lab, clients).start(conf)
    nat.load(**words)
    return nat


def back(nat, i=0, mode="transport", count=2, seconds=15):
    """The server answers client i, on both families."""
    for af in (4, 6):
        src, dst = natlab.ends(nat, i, mode, af)
        natlab.answers(nat.clients[i], dst, src, count, seconds=seconds)


@pytest.mark.parametrize("mode,syntax", [("transport", "esp-udp"), ("transport", "esp-udp-oa"),
                                         ("transport", "-natt"), ("tunnel", "esp-udp"), ("tunnel", "-natt")])
def test_through_a_nat(lab, mode, syntax):
    nat = up(lab, mode=mode, syntax=syntax)
    c, s = nat.clients[0], nat.server
    with nat.outside.capture() as out, nat.inside.capture() as inside:
        back(nat, mode=mode)
        for af in (4, 6):
            src, dst = natlab.ends(nat, 0, mode, af)
            netlab.tcp(c, s, dst, src=src)
            netlab.udp(c, s, dst, 1000, src=src)
            netlab.udp(c, s, dst, 6000, src=src)
    out, inside = Seen(out), Seen(inside)
    assert not out.clear(OUTER)
    assert not inside.clear(COVERED)
    for af in (4, 6):
        there, here = SERVER[af], OUTSIDE[af]
        assert out.ports(here, there) == {(nat.port(), PORT)}
        assert out.ports(there, here) == {(PORT, nat.port())}
        assert inside.ports(CLIENTS[0][af], there) == {(PORT, PORT)}


@MODES
@pytest.mark.parametrize("af", [4, 6])
def test_ten_megabytes_each_way(lab, mode, af):
    nat = up(lab, mode=mode)
    src, dst = natlab.ends(nat, 0, mode, af)
    Streams(nat.clients[0], nat.server, src, dst, 10 * MB).ok()


@MODES
def test_port_changes_in_flight(lab, mode):
    """A NAT that gives another port in the middle: nobody waits for it, and key management is told."""
    nat = up(lab, mode=mode)
    c, s = nat.clients[0], nat.server
    back(nat, mode=mode)
    monitor = Monitor(s)
    tickers, streams = [], []
    for af in (4, 6):
        src, dst = natlab.ends(nat, 0, mode, af)
        sees = INNER[0][af] if mode == "tunnel" else OUTSIDE[af]
        tickers += [Ticker(s, dst, sees, 6200, send=False), Ticker(c, src, dst, 6200)]
        streams.append(Streams(c, s, src, dst, 4 * MB, port=6100 + af, pace=0.03))
    ports = []
    with nat.outside.capture() as out:
        for base in (30000, 31000, 32000):
            time.sleep(0.3)
            nat.map(base)
            nat.forget()
            ports.append(nat.port())
            back(nat, mode=mode, count=1, seconds=5)
    for st in streams:
        st.ok()
    pauses = [t.stop() for t in reversed(tickers)]
    told, out = monitor.stop(), Seen(out)
    assert all(n >= TICKS for n, _ in pauses), pauses
    assert max(p for _, p in pauses) < 1, f"longest pauses in seconds: {pauses}"
    for af in (4, 6):
        assert {(p, PORT) for p in ports} <= out.ports(OUTSIDE[af], SERVER[af])
        assert {(PORT, p) for p in ports} <= out.ports(SERVER[af], OUTSIDE[af])
    assert told.count("X_NAT_T_NEW_MAPPING") >= 6, told
    for old, new in zip([20000] + ports, ports):
        at = told.index(f"sadb_x_nat_t_dport{{ port={new} }}")
        assert f"sadb_x_nat_t_sport{{ port={old} }}" in told[:at + 50]


@MODES
def test_two_clients_behind_one_nat(lab, mode):
    """They have one address outside; what each of them sends and gets is its own."""
    nat = Nat(lab, 2).start()
    if mode == "tunnel":
        nat.load(mode=mode)
    else:
        # Transport mode has nothing but ports to tell them apart (RFC 3948 5.2).
        for i in range(2):
            nat.load_client(i, mode=mode, upper=f"tcp {6001 + i}")
            nat.load_server(i, mode=mode, upper=f"tcp {6001 + i}")
    with nat.outside.capture() as out:
        if mode == "tunnel":
            for i in range(2):
                back(nat, i, mode)
        streams = []
        for i, c in enumerate(nat.clients):
            for af in (4, 6):
                src, dst = natlab.ends(nat, i, mode, af)
                streams.append(Streams(c, nat.server, src, dst, MB, port=6300 + 10 * i + af, sport=6001 + i))
        for st in streams:
            st.ok()
    out = Seen(out)
    assert not out.clear(OUTER)
    for af in (4, 6):
        assert out.ports(OUTSIDE[af], SERVER[af]) == {(nat.port(i), PORT) for i in range(2)}
        for i in range(2):
            # Nobody is answered on the port of the other.
            spi = (natlab.spi_of(i, af) + 1).to_bytes(4, "big")
            ports = {dport for _, dport, esp in out.esp(SERVER[af], OUTSIDE[af]) if esp[:4] == spi}
            assert ports == {nat.port(i)}, f"client {i}, IPv{af}"


def test_two_clients_get_other_ports(lab):
    """Both mappings change, and to the port that was the other's."""
    nat = up(lab, 2, mode="tunnel")
    for i in range(2):
        back(nat, i, "tunnel")
    nat.map(nat.base, (1, 0))
    nat.forget()
    for i in (0, 1, 0):
        back(nat, i, "tunnel")


def test_several_local_ports(lab):
    nat = Nat(lab).start()
    nets = {4: ("10.8.0.0/24", "10.9.0.0/24"), 6: ("fd08:0::/64", "fd09::/64")}
    for af in (4, 6):
        for local, n in ((PORT, None), (PORT + 1, (CLIENTS[0][af], SERVER_INNER[af]))):
            for h, side in ((nat.clients[0], "client"), (nat.server, "server")):
                h.setkey(natlab.statements(nat, 0, af, side, mode="tunnel", local=local, net=n or nets[af]))
    c, s = nat.clients[0], nat.server
    for af in (4, 6):
        # The addresses behind the second tunnel are the client's own, outside of which it is not known.
        s.ip("-6" if af == 6 else "-4", "route", "add", CLIENTS[0][af], "via", OUTSIDE[af], "src", SERVER_INNER[af])
    with nat.outside.capture() as out:
        for af in (4, 6):
            for src in (INNER[0][af], CLIENTS[0][af]):
                natlab.answers(c, SERVER_INNER[af], src)
                Streams(c, s, src, SERVER_INNER[af], MB).ok()
    out = Seen(out)
    assert not out.clear(OUTER)
    for af in (4, 6):
        pairs = {(nat.port(0, p), p) for p in (PORT, PORT + 1)}
        assert out.ports(OUTSIDE[af], SERVER[af]) == pairs
        assert out.ports(SERVER[af], OUTSIDE[af]) == {(b, a) for a, b in pairs}


# ---- somebody else owns port 4500 ----


def ask_ike(nat, seconds=15):
    """A process of the client asks the one of the server on both families, through the NAT."""
    out = nat.clients[0].python(natlab.ASKER, PORT, SERVER[4], SERVER[6], timeout=seconds)
    assert out.strip() == "answered"


@MODES
def test_unaware_owner_of_the_port(lab, mode):
    """IKE is for whoever has the port, ESP for nobody but us; owners come and go in flight."""
    nat = up(lab, mode=mode)
    c, s = nat.clients[0], nat.server
    owner = Owner(s)
    streams = [Streams(c, s, *natlab.ends(nat, 0, mode, af), 3 * MB, port=6100 + af) for af in (4, 6)]
    ask_ike(nat)
    mine = Owner(c)
    back(nat, mode=mode)
    for st in streams:
        st.ok()
    # Without owners, and with new ones.
    assert mine.stop() == (0, 0)
    got, strange = owner.stop()
    assert got >= 10 and strange == 0
    src, dst = natlab.ends(nat, 0, mode, 4)
    sees = INNER[0][4] if mode == "tunnel" else OUTSIDE[4]
    echo, t = Ticker(s, dst, sees, 6200, send=False), Ticker(c, src, dst, 6200)
    for _ in range(3):
        a, b = Owner(s), Owner(c)
        time.sleep(0.15)
        assert a.stop() == (0, 0) and b.stop() == (0, 0)
        time.sleep(0.1)
    owner = Owner(s)
    ask_ike(nat)
    assert owner.stop()[1] == 0
    for x in (t, echo):
        n, pause = x.stop()
        assert n >= TICKS and pause < 0.5, (n, pause)


TO_PORT = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    s.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 4500))
"""


def test_port_without_sas(lab):
    """Without an SA in UDP, all of the port is its owner's; and again when the last is gone."""
    nat = Nat(lab).start()
    c, s = nat.clients[0], nat.server

    def owner_gets():
        owner = Owner(s)
        c.python(TO_PORT, SERVER[4], b"no ESP of ours".hex())
        time.sleep(0.2)
        return owner.stop()

    assert owner_gets() == (0, 3)
    s.setkey(natlab.statements(nat, 0, 4, "server", upper="tcp 6001"))
    before = s.drops("in-no-sa")
    assert owner_gets() == (0, 0)
    wait_for("the drops", lambda: s.drops("in-no-sa") == before + 3)
    s.setkey("flush;")
    wait_for("the port is its owner's", lambda: owner_gets() == (0, 3))


# ---- what comes from strangers ----


def one_frame(nat, af):
    """A packet of ESP in UDP from the client as the server got it: a whole frame."""
    with nat.outside.capture() as out:
        assert nat.clients[0].ping(SERVER[af], 1) == 1
    return next(p.raw for p in Seen(out).packets if p.src == OUTSIDE[af] and natlab.kind(p) == "esp")


def offset(frame):
    """Where its UDP header is."""
    return 14 + (20 if frame[14] >> 4 == 4 else 40)


def changed(frame, port=None, spi=None, flip=(), length=None):
    """The frame from another source port, to another SPI, with bytes of its data damaged, or cut."""
    f, at = bytearray(frame), offset(frame)
    if port:
        f[at:at + 2] = port.to_bytes(2, "big")
    if spi is not None:
        f[at + 8:at + 12] = spi.to_bytes(4, "big")
    for i in flip:
        f[at + 8 + i if i >= 0 else i] ^= 1
    if length is not None:
        f = f[:at + 8 + length]
        f[at + 4:at + 6] = (len(f) - at).to_bytes(2, "big")
        where, n = (16, len(f) - 14) if f[14] >> 4 == 4 else (18, len(f) - at)
        f[where:where + 2] = n.to_bytes(2, "big")
    return bytes(f[:14]) + checksums(bytes(f[14:]))


def checksums(ip):
    """IP header and UDP with the checksums that they must have."""
    p = forge.IP(ip) if ip[0] >> 4 == 4 else forge.IPv6(ip)
    p[forge.UDP].chksum = None
    if ip[0] >> 4 == 4:
        p.chksum = None
    return bytes(p)


@pytest.mark.parametrize("af", [4, 6])
def test_strangers(lab, af):
    """Damaged, unknown, short and repeated packets: dropped with the right reason, and no mapping moves."""
    nat = up(lab)
    back(nat)
    s = nat.server
    frame = one_frame(nat, af)
    new = 6  # a byte of the sequence number: one that the window has not seen
    cases = [("in-icv-mismatch", changed(frame, flip=[new])),
             ("in-icv-mismatch", changed(frame, 7777, flip=[new])),
             ("in-icv-mismatch", changed(frame, 7777, flip=[new, 30])),
             ("in-icv-mismatch", changed(frame, 7777, flip=[new, -1])),
             ("in-no-sa", changed(frame, 7777, spi=0x7fffffff)),
             ("in-replay-duplicate", changed(frame)),
             ("in-replay-duplicate", changed(frame, 7777)),
             ("short-packet", changed(frame, 7777, length=6))]
    monitor = Monitor(s)
    for reason, bad in cases:
        before = s.drops(reason)
        nat.nat.python(forge.SEND, "out", input=bad.hex() + "\n")
        wait_for(f"the drop as {reason}", lambda: s.drops(reason) == before + 1, 5)
    with nat.outside.capture() as out:
        back(nat)
    assert Seen(out).ports(SERVER[af], OUTSIDE[af]) == {(PORT, nat.port())}
    assert "NEW_MAPPING" not in monitor.stop()


# ---- accidents ----


@contextlib.contextmanager
def watched(nat, mode="transport"):
    """Covered traffic of several kinds, and two who look for any of it on the wires."""
    c = nat.clients[0]
    to = SERVER_INNER if mode == "tunnel" else SERVER
    with nat.inside.capture() as inside, nat.outside.capture() as out:
        p = c.python_bg(CHATTER, to[4], to[6])
        try:
            yield inside, out
        finally:
            p.kill()
            p.wait()
    for capture, nets in ((inside, COVERED), (out, OUTER + COVERED)):
        leaks = Seen(capture).clear(nets)
        assert not leaks, f"{len(leaks)} packets that are no ESP in UDP, first: {leaks[:5]}"


@MODES
def test_kill_data_process(lab, mode):
    nat = up(lab, mode=mode)
    c = nat.clients[0]
    back(nat, mode=mode)
    with watched(nat, mode) as (inside, _):
        for _ in range(2):
            pid = c.data_pid()
            os.kill(pid, signal.SIGKILL)
            wait_for("a new data process", lambda: c.data_pid() not in (None, pid))
            back(nat, mode=mode)
    inside = Seen(inside)
    for af in (4, 6):
        seen = inside.numbers(CLIENTS[0][af], SERVER[af])
        assert len(seen) > 50 and len(seen) == len(set(seen)), "a sequence number was used twice"


def test_kill_data_process_of_the_server(lab):
    """What a NAT made of the ports is not forgotten with the process that saw it."""
    nat = up(lab)
    nat.map(30000)
    nat.forget()
    s = nat.server
    back(nat)
    with watched(nat) as (_, out):
        pid = s.data_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for("a new data process", lambda: s.data_pid() not in (None, pid))
        back(nat)
    out = Seen(out)
    for af in (4, 6):
        assert out.ports(SERVER[af], OUTSIDE[af]) == {(PORT, 30000)}


def test_kill_parent_process(lab):
    nat = up(lab)
    c = nat.clients[0]
    with watched(nat):
        time.sleep(0.2)
        c.kill_parent()
        time.sleep(0.5)
        assert c.ping(SERVER[4], 1) == 0 and c.ping(SERVER[6], 1) == 0
        c.start()
        nat.load_client(0)
        back(nat)


def test_flush_ruleset(lab):
    """Whatever is removed of what ESP in UDP needs of the host comes back."""
    nat = up(lab)
    with watched(nat):
        for h in (nat.clients[0], nat.server):
            for _ in range(3):
                h.run("nft", "flush", "ruleset", check=False)
                time.sleep(0.1)
            for word in ("-4", "-6"):
                h.ip(word, "rule", "del", "priority", "10", check=False)
                h.ip(word, "route", "flush", "table", "5800", check=False)
        back(nat)


def test_stop_leaves_nothing(lab):
    nat = up(lab)
    back(nat)
    for h in (nat.clients[0], nat.server):
        h.stop()
        left = h.run("nft", "list", "tables") + h.ip("rule") + h.ip("-6", "rule") + h.ip("link")
        assert "testudo" not in left and "5800" not in left
        assert ":4500" not in h.run("ss", "-Hlun")


def test_clear_datagrams_to_the_port_are_not_ours(lab):
    """Under require, what comes without protection does not get in, on port 4500 either."""
    nat = up(lab)
    nat.clients[0].stop()  # sends in clear now
    owner = Owner(nat.server)
    before = nat.server.drops("in-clear-but-required")
    nat.clients[0].python(TO_PORT, SERVER[4], b"\0\0\0\0ike ".hex())
    assert nat.clients[0].ping(SERVER[4], 1) == 0
    wait_for("the drops", lambda: nat.server.drops("in-clear-but-required") > before)
    assert owner.stop() == (0, 0)


# ---- keepalives ----


def idle_nat(lab, interval):
    """A NAT that forgets in two seconds, and keepalives of the client every interval seconds."""
    nat = up(lab)
    for name in ("udp_timeout", "udp_timeout_stream"):
        nat.nat.sysctl(f"net.netfilter.nf_conntrack_{name}", 2)
    for h, seconds in ((nat.clients[0], interval), (nat.server, 0)):
        h.run(netlab.TESTUDO, "sysctl", "-w", f"net.key.natt_keepalive_interval={seconds}")
    back(nat)
    return nat


def reached(nat):
    """How many pings of the server the client answers, by family."""
    return [nat.server.ping(OUTSIDE[af], 1) for af in (4, 6)]


def test_keepalives(lab):
    """A client that sends nothing is reached for as long as it keeps its mapping, and no longer."""
    nat = idle_nat(lab, 1)
    with nat.outside.capture() as out:
        time.sleep(4)
    out = Seen(out)
    for af in (4, 6):
        assert out.keepalives(OUTSIDE[af], SERVER[af]) == {(nat.port(), PORT)}
        assert not out.keepalives(SERVER[af], OUTSIDE[af])
        assert not out.esp(OUTSIDE[af], SERVER[af])
    assert reached(nat) == [1, 1]
    nat.clients[0].run(netlab.TESTUDO, "sysctl", "-w", "net.key.natt_keepalive_interval=0")
    time.sleep(3)
    assert reached(nat) == [0, 0], "the NAT does not forget: this test shows nothing"
    back(nat)
