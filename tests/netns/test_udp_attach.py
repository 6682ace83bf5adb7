"""UDP encapsulation in the parent: which packets come to the daemon's socket (attachment I10), and
the port that its super-packets leave with.  The data process is double.c."""
import ctypes
import fcntl
import os
import signal
import socket
import struct

import pytest

import netlab
from netlab import wait_for
from test_attach import (ADD, IN, QUEUED, READY, VERDICT, attached, cover, double,  # noqa: F401
                         in_namespace, left_behind)

NATT_PORT = 16
OWN = 0x200000
SOL_IPV6, SOL_UDP, UDP_SEGMENT, UDP_GRO = 41, 17, 103, 104
ESP = [bytes([i + 1]) * 1200 for i in range(5)]
IKE, KEEPALIVE = b"\0\0\0\0cookie" + bytes(30), b"\xff"
MARKED = bytes(8) + b"\0\0\1\0" + bytes(40)
ADDRESSES = {4: ("10.1.1.1", "20.1.1.1"), 6: ("fd10::1", "fd20::1")}


def port(d, number, on, marker=False):
    return d.call(NATT_PORT, struct.pack("HBB", number, marker, on))


def sock_of(d, letter):
    """A socket of the data process."""
    d.s.send(b"F" + letter)
    _, fds, _, _ = socket.recv_fds(d.s, 1, 1)
    s = socket.socket(fileno=fds[0])
    s.settimeout(2)
    return s


def udp(host, version, number=0):
    """A program's socket."""
    def make():
        s = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind((ADDRESSES[version][host.name.endswith("b")], number))
        s.settimeout(2)
        return s
    return in_namespace(host, make)


def send_super(s, datagrams, to, cmsg=()):
    cmsg = list(cmsg) + [(SOL_UDP, UDP_SEGMENT, struct.pack("H", len(datagrams[0])))]
    s.sendmsg([b"".join(datagrams)], cmsg, 0, to)


def nothing(s):
    s.settimeout(0.3)
    try:
        s.recv(1 << 16)
    except socket.timeout:
        return True
    finally:
        s.settimeout(2)
    return False


def offloads(host, dev, on):
    """What `ethtool -K dev tx on|off sg on|off` does."""
    def switch():
        s = socket.socket()
        for command in (0x17, 0x19) if on else (0x1f, 0x24, 0x19, 0x17):
            value = ctypes.create_string_buffer(struct.pack("II", command, on))
            fcntl.ioctl(s, 0x8946, struct.pack("16sP16x", dev.encode(), ctypes.addressof(value)))
        s.close()
    in_namespace(host, switch)


@pytest.mark.parametrize("offloaded", [True, False])
def test_super_packets_leave_with_the_port_of_the_sa(lab, offloaded):
    """Their checksums are right whether the device makes them or not: the second leg of the wire
    does not, so b's kernel sees what was really computed, and drops what is wrong."""
    w, a, b, d = attached(lab)
    offloads(w.host, "p1", False)
    if not offloaded:
        offloads(a, a.dev, False)
    assert port(d, 4500, True) == 4500
    for version, letter, df in ((4, b"d", True), (4, b"n", False), (6, b"s", True)):
        mine, peer = ADDRESSES[version]
        at_b = udp(b, version, 4500)
        if version == 4:
            source = (socket.IPPROTO_IP, 8, struct.pack("I4s4x", 0, socket.inet_aton(mine)))
            fields = [(socket.IPPROTO_IP, 1, b"\x0b\0\0\0"), (socket.IPPROTO_IP, 2, b"\x37\0\0\0")]
        else:
            source = (SOL_IPV6, 50, socket.inet_pton(socket.AF_INET6, mine) + bytes(4))
            fields = [(SOL_IPV6, 67, b"\x0b\0\0\0"), (SOL_IPV6, 52, b"\x37\0\0\0")]
        with w.capture() as c:
            send_super(sock_of(d, letter), ESP[:4] + [ESP[4][:900]], (peer, 4500),
                       [source] + fields)
            for expected in ESP[:4] + [ESP[4][:900]]:
                data, sender = at_b.recvfrom(1 << 16)
                assert sender[:2] == (mine, 4500) and data == expected
        seen = [p for p in c.packets() if p.ip is not None and p.proto == 17]
        assert seen
        for p in seen:
            if version == 4:
                assert p.ip[1] == 0x0b and p.ip[8] == 0x37 and bool(p.ip[6] & 0x40) == df
            else:
                assert p.ip[:4] == b"\x60\xb0\0\0" and p.ip[7] == 0x37
        at_b.close()
    assert b.run("nstat", "-az", "UdpInCsumErrors", "Udp6InCsumErrors").count(" 0 ") >= 2


def receive(s):
    """Data, ancillary data by (level, type), sender."""
    data, cmsg, flags, sender = s.recvmsg(1 << 16, 512)
    assert flags == 0
    return data, {(x[0], x[1]): x[2] for x in cmsg}, sender


def check_esp(s, version, datagrams):
    """A super-packet arrived whole, and as what it was sent."""
    data, cmsg, sender = receive(s)
    mine, peer = ADDRESSES[version]
    assert data == b"".join(datagrams) and sender[:2] == (peer, 4500)
    if len(datagrams) > 1:
        assert struct.unpack("i", cmsg[SOL_UDP, UDP_GRO])[0] == len(datagrams[0])
    if version == 4:
        assert cmsg[0, 20][2:8] == struct.pack("!H", 4500) + socket.inet_aton(mine)
        assert cmsg[0, 1] == b"\x2e" and cmsg[0, 2] == b"\x21\0\0\0"
    else:
        original = cmsg[SOL_IPV6, 74]
        assert original[2:4] == struct.pack("!H", 4500)
        assert original[8:24] == socket.inet_pton(socket.AF_INET6, mine)
        assert cmsg[SOL_IPV6, 67] == b"\x2e\0\0\0" and cmsg[SOL_IPV6, 52] == b"\x21\0\0\0"


def peer_socket(b, version):
    s = udp(b, version, 4500)
    if version == 4:
        s.setsockopt(socket.IPPROTO_IP, 1, 0x2e)
        s.setsockopt(socket.IPPROTO_IP, 2, 0x21)
    else:
        s.setsockopt(SOL_IPV6, 67, 0x2e)
        s.setsockopt(SOL_IPV6, 16, 0x21)
    return s


@pytest.mark.parametrize("version", [4, 6])
def test_esp_in_udp_comes_to_the_daemon_and_nothing_else(lab, version):
    """An owner of port 4500 that knows nothing of us keeps IKE and keepalives."""
    w, a, b, d = attached(lab)
    mine, _ = ADDRESSES[version]
    owner, peer = udp(a, version, 4500), peer_socket(b, version)
    esp_in = sock_of(d, b"4" if version == 4 else b"6")

    def to_owner(*datagrams):
        for x in datagrams:
            peer.sendto(x, (mine, 4500))
            assert owner.recv(1 << 16) == x

    to_owner(ESP[0], IKE, KEEPALIVE)
    assert port(d, 4500, True) == 4500
    send_super(peer, ESP, (mine, 4500))
    check_esp(esp_in, version, ESP)
    peer.sendto(ESP[0], (mine, 4500))
    check_esp(esp_in, version, ESP[:1])
    to_owner(IKE, b"", b"x", b"four", MARKED)
    peer.sendto(KEEPALIVE, (mine, 4500))
    assert nothing(owner) and nothing(esp_in)
    # Another port is nobody's business, and so is what is sent to the socket's own.
    other = udp(a, version, 4501)
    peer.sendto(ESP[1], (mine, 4501))
    assert other.recv(1 << 16) == ESP[1]
    peer.sendto(ESP[1], (mine, esp_in.getsockname()[1]))
    assert nothing(esp_in) and nothing(owner)
    assert port(d, 4500, False) == 4500
    to_owner(ESP[0], IKE, KEEPALIVE)
    assert nothing(esp_in)
    assert "tproxy" not in a.run("nft", "list", "ruleset")


def test_form_with_a_marker(lab):
    """Eight zero bytes: where IKE has a cookie, so on port 500 as well."""
    w, a, b, d = attached(lab)
    owner, peer, esp_in = udp(a, 4, 500), peer_socket(b, 4), sock_of(d, b"4")
    assert port(d, 500, True, marker=True) == 500
    peer.sendto(MARKED, ("10.1.1.1", 500))
    assert receive(esp_in)[0] == MARKED
    for x in (b"cookie" + bytes(22), IKE, bytes(7), b"\0\0\0\0\0\0\0\1" + bytes(20)):
        peer.sendto(x, ("10.1.1.1", 500))
        assert owner.recv(1 << 16) == x
    # Both forms on one port; they come and go by themselves.
    assert port(d, 500, True) == 500
    peer.sendto(ESP[0], ("10.1.1.1", 500))
    assert receive(esp_in)[0] == ESP[0]
    assert port(d, 500, False, marker=True) == 500
    peer.sendto(MARKED, ("10.1.1.1", 500))
    assert owner.recv(1 << 16) == MARKED
    peer.sendto(ESP[0], ("10.1.1.1", 500))
    assert receive(esp_in)[0] == ESP[0]


@pytest.mark.parametrize("version", [4, 6])
def test_esp_in_udp_is_no_clear_packet(lab, version):
    """Under a policy that covers everything: ESP is checked when it has been opened, IKE waits for
    a verdict as it did before."""
    w, a, b, d = attached(lab)
    mine, _ = ADDRESSES[version]
    owner, peer = udp(a, version, 4500), peer_socket(b, version)
    esp_in = sock_of(d, b"4" if version == 4 else b"6")
    every = ("0.0.0.0/0",) * 2 if version == 4 else ("::/0",) * 2
    assert d.call(ADD, cover(IN, *every)) == 0
    assert port(d, 4500, True) == 4500
    send_super(peer, ESP, (mine, 4500))
    check_esp(esp_in, version, ESP)
    peer.sendto(IKE, (mine, 4500))

    def queued():
        while True:
            m = d.ask(b"A")
            if not m or struct.unpack_from("=I", m)[0] == QUEUED:
                return m
    m = wait_for("IKE is queued", queued)
    number = m[m.index(b"\x0b\0\1\0") + 4:][:4]
    assert nothing(owner)
    d.raw(VERDICT, number + b"\1" + bytes(3))
    assert owner.recv(1 << 16) == IKE


def test_fragments_are_made_whole_first(lab):
    w, a, b, d = attached(lab)
    assert port(d, 4500, True) == 4500
    large = b"".join(ESP)
    for version, letter in ((4, b"4"), (6, b"6")):
        peer, esp_in = peer_socket(b, version), sock_of(d, letter)
        peer.sendto(large, (ADDRESSES[version][0], 4500))
        check_esp(esp_in, version, [large])


def test_no_checksum_is_needed(lab):
    """ESP has its own: without that of UDP also over IPv6, as tunnels may (RFC 6935)."""
    w, a, b, d = attached(lab)
    assert port(d, 4500, True) == 4500
    for version, letter, level, option in ((4, b"4", socket.SOL_SOCKET, 11), (6, b"6", 17, 101)):
        peer, esp_in = peer_socket(b, version), sock_of(d, letter)
        peer.setsockopt(level, option, 1)
        with w.capture() as c:
            peer.sendto(ESP[0], (ADDRESSES[version][0], 4500))
            check_esp(esp_in, version, ESP[:1])
        assert [p.payload[6:8] for p in c.packets() if p.ip is not None and p.proto == 17] == [
            bytes(2)]


def test_ports_of_a_dead_data_process_stay_until_its_successor_is_ready(lab):
    w, a, b, d = attached(lab)
    peer, owner = peer_socket(b, 4), udp(a, 4, 4500)
    assert port(d, 4500, True) == 4500 and port(d, 4501, True) == 4500
    os.kill(a.data_pid(), signal.SIGKILL)
    # The double says READY at once, and nothing of ports before.
    d.connect()
    wait_for("no port", lambda: "tproxy" not in a.run("nft", "list", "ruleset"))
    peer.sendto(ESP[0], ("10.1.1.1", 4500))
    assert owner.recv(1 << 16) == ESP[0]
    esp_in = sock_of(d, b"4")
    assert port(d, 4500, True) == 4500
    peer.sendto(ESP[0], ("10.1.1.1", 4500))
    assert receive(esp_in)[0] == ESP[0]


def test_table_of_a_crashed_run_takes_nothing_away(lab):
    """Its rules name sockets that are gone: then packets go on as if there were no rule, and a new
    run receives them beside it."""
    w, a, b, d = attached(lab)
    peer, owner = peer_socket(b, 4), udp(a, 4, 4500)
    assert port(d, 4500, True) == 4500
    a.kill_parent()
    wait_for("the data process is gone", lambda: not a.ok("ip", "link", "show", "testudo0"))
    assert "tproxy" in a.run("nft", "list", "ruleset")
    peer.sendto(ESP[0], ("10.1.1.1", 4500))
    assert owner.recv(1 << 16) == ESP[0]
    a.start()
    d.connect()
    esp_in = sock_of(d, b"4")
    assert port(d, 4500, True) == 4500
    send_super(peer, ESP, ("10.1.1.1", 4500))
    assert receive(esp_in)[0] == b"".join(ESP)
    a.stop()
    assert left_behind(a) == []


@pytest.mark.parametrize("bad", [(0, 0, 1), (4500, 2, 1), (4500, 0, 2)])
def test_nonsense_about_ports_ends_the_data_process(lab, bad):
    w, a, b, d = attached(lab)
    pid = a.data_pid()
    try:
        d.raw(NATT_PORT, struct.pack("HBB", *bad))
    except (OSError, AssertionError):
        pass
    wait_for("another process", lambda: a.data_pid() not in (pid, None))


def test_super_packets_have_the_port_of_the_first(lab):
    """It stays theirs when it is gone, until there is a new first one: nothing may leave with the
    port of the socket."""
    w, a, b, d = attached(lab)
    at_b, out = udp(b, 4, 4500), sock_of(d, b"d")

    def source():
        send_super(out, ESP, ("20.1.1.1", 4500))
        return {at_b.recvfrom(1 << 16)[1][1] for _ in ESP}
    assert port(d, 4501, True) == 4501 and source() == {4501}
    assert port(d, 4502, True) == 4501 and source() == {4501}
    assert port(d, 4501, False) == 4501 and source() == {4501}
    assert port(d, 4502, False) == 4501 and source() == {4501}
    assert port(d, 4500, True) == 4500 and source() == {4500}
