"""AH and IPComp between the wire and the engine: what raw sockets deliver, whole and once."""
import json

import pytest

import forge
import keys
import netlab
from forge import IP, IPv6

A4, B4, A6, B6 = "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"
AH, IPCOMP = 51, 108


def header(proto, nh=17, spi=0x1234):
    """An AH or IPComp header of no SA, with something behind it."""
    if proto == AH:
        return bytes([nh, 4, 0, 0]) + spi.to_bytes(4, "big") + b"\0\0\0\1" + b"I" * 12
    return bytes([nh, 0]) + spi.to_bytes(2, "big")


def one_host(lab, conf="", mtu=1500):
    w, a, b = netlab.two_hosts(lab, mtu=mtu)
    a.start(conf)
    return w, a, b


def arrives(w, a, b, packets, count):
    """The packets reach the engine, as so many; the host itself answers none of them."""
    before = a.drops("in-no-sa")
    with w.capture() as c:
        forge.send_ip(w, a, b, *packets)
        netlab.wait_for("packets in the engine", lambda: a.drops("in-no-sa") >= before + count)
    assert a.drops("in-no-sa") == before + count
    assert not [p for p in c.between([A4, B4, A6, B6]) if p.src in (A4, A6)], "the host answered"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("proto", [AH, IPCOMP])
def test_every_packet_reaches_the_engine_once(lab, proto, workers):
    w, a, b = one_host(lab, f"workers {workers}\n")
    some = [header(proto, spi=0x1000 + i) + b"payload" * 9 for i in range(16)]
    arrives(w, a, b, [IP(src=B4, dst=A4, proto=proto) / d for d in some], 16)
    arrives(w, a, b, [IPv6(src=B6, dst=A6, nh=proto) / d for d in some], 16)
    many = [IP(src=f"20.1.{i}.7", dst=A4, proto=proto) / some[0] for i in range(16)]
    arrives(w, a, b, many + [IPv6(src=f"fd20::{i:x}", dst=A6, nh=proto) / some[0]
                             for i in range(16)], 32)


@pytest.mark.parametrize("proto", [AH, IPCOMP])
def test_fragments_are_reassembled_first(lab, proto):
    w, a, b = one_host(lab)
    data = header(proto) + bytes(range(256)) * 20
    arrives(w, a, b, forge.fragments(IP(src=B4, dst=A4, proto=proto, id=77) / data, 1200), 1)
    arrives(w, a, b, forge.fragments(IPv6(src=B6, dst=A6, nh=proto) / data, 1200), 1)


@pytest.mark.parametrize("proto", [AH, IPCOMP])
def test_extension_headers_in_any_order(lab, proto):
    """What a raw socket leaves out is made again; one header may be as long as it can be."""
    w, a, b = one_host(lab, mtu=9000)
    pad = b"\1\4\0\0\0\0"
    hop, dst = pad, b"\x1e\x0c" + b"\7" * 12
    long = (b"\x1e\xff" + b"\7" * 255) * 7 + b"\x1e\xf5" + b"\7" * 245
    routing = b"\2\0" + b"\0" * 4 + bytes.fromhex("fd10" + "00" * 13 + "01")
    data = header(proto) + b"payload" * 9
    packets = []
    for chain in ([(60, dst)], [(0, hop)], [(0, hop), (60, dst)], [(43, routing)],
                  [(60, dst), (43, routing)], [(43, routing), (60, dst)],
                  [(0, hop), (60, dst), (43, routing), (60, dst)],
                  [(60, long)]):
        nh, text = proto, data
        for kind, body in reversed(chain):
            assert (len(body) + 2) % 8 == 0
            text = bytes([nh, (len(body) + 2) // 8 - 1]) + body + text
            nh = kind
        packets.append(IPv6(src=B6, dst=A6, nh=nh) / text)
    arrives(w, a, b, packets, 8)
    assert a.stats()["io"]["raw-recv"]["errors"] == 0


@pytest.mark.parametrize("proto", [AH, IPCOMP])
def test_policies_do_not_stop_ipsec_headers(lab, proto):
    """Covered or not, in clear or not, is asked about what is inside of them."""
    w, a, b = one_host(lab)
    for mine, peer in ((A4, B4), (A6, B6)):
        a.setkey(f"spdadd {peer} {mine} any -P in ipsec esp/transport//require;\n")
    data = header(proto) + b"payload" * 9
    arrives(w, a, b, [IP(src=B4, dst=A4, proto=proto) / data], 1)
    arrives(w, a, b, [IPv6(src=B6, dst=A6, nh=proto) / data], 1)
    assert a.drops("in-clear-but-required") == 0
    assert a.stats()["attachment"]["queued"] == 0


# Sends datagrams with options of the IP header, as hexadecimal: level, option, value.
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for level, option, value in (a.split(",") for a in sys.argv[2:]):
    s.setsockopt(int(level), int(option), bytes.fromhex(value))
for size in (20, 1200, 4000):
    s.sendto(b"x" * size, (sys.argv[1], 5005))
"""

# Prints what came with each datagram: its size, and ancillary data as type:value.
RECEIVE = """
import socket, sys
v6 = ":" in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
for option in (53, 58) if v6 else (6,):
    s.setsockopt(41 if v6 else 0, option, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.settimeout(5)
print("up", flush=True)
while True:
    d, anc, flags, a = s.recvmsg(1 << 16, 4096)
    print(len(d), *(f"{t}:{v.hex()}" for level, t, v in anc), flush=True)
"""


def covered(lab, shape):
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start()
    for mine, peer, spi in ((A4, B4, 0x1000), (A6, B6, 0x1010)):
        sas, pa, pb = keys.transport(mine, peer, spi=spi, shape=shape)
        a.setkey(sas + pa)
        b.setkey(sas + pb)
    return w, a, b


@pytest.mark.parametrize("shape", ["esp", "ah", "esp-ah"])
def test_d04_extension_headers_come_through(lab, shape):
    """In front of the protection or inside of it, they reach the receiver as they were sent."""
    w, a, b = covered(lab, shape)
    assert a.ping(B6, 1) == 1
    hop = "0000" + "0502" + "0000" + "0100"
    dst = "0001" + "1e0a" + "00" * 10 + "0100"
    p = netlab.serve(b, RECEIVE, B6, 5005)
    with w.capture() as c:
        a.python(SEND, B6, f"41,54,{hop}", f"41,59,{dst}")
        got = [p.stdout.readline().decode().split() for _ in range(3)]
    p.kill()
    p.wait()
    # The first byte says what came next.
    want = {f"54:3c{hop[2:]}", f"59:11{dst[2:]}"}
    for size, line in zip((20, 1200, 4000), got):
        assert line[0] == str(size) and set(line[1:]) == want
    assert not c.clear([A6, B6], keys.CHAIN[shape])
    assert all(p.ip[6] == 0 for p in c.between([A6, B6])), "the hop-by-hop options are for routers"


@pytest.mark.parametrize("shape", ["esp", "ah", "esp-ah"])
def test_ip_options_come_through(lab, shape):
    """Router alert, which nobody changes, and a record of the route, which AH leaves out."""
    w, a, b = covered(lab, shape)
    assert a.ping(B4, 1) == 1
    record = "07" + "0b" + "04" + "00" * 8 + "00"
    p = netlab.serve(b, RECEIVE, B4, 5005)
    with w.capture() as c:
        a.python(SEND, B4, f"0,4,94040000{record}")
        got = [p.stdout.readline().decode().split() for _ in range(3)]
    p.kill()
    p.wait()
    for size, line in zip((20, 1200, 4000), got):
        assert line[0] == str(size) and line[1].startswith("6:94040000070b")
    assert not c.clear([A4, B4], keys.CHAIN[shape])


def test_doctor_knows_the_protocols(lab):
    w, a, b = netlab.two_hosts(lab)

    def findings():
        checks = json.loads(a.run(netlab.TESTUDO, "--json", "doctor", check=False))["checks"]
        return [(c["verdict"], c["text"]) for c in checks if c["check"] == "raw sockets"]
    missing = findings()
    assert len(missing) == 6 and {f for f, _ in missing} == {"fail"}
    a.start()
    found = findings()
    assert len(found) == 2 and {f for f, _ in found} == {"ok"}
