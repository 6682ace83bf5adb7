"""AH and IPComp between the wire and the engine: what raw sockets deliver, whole and once."""
import pytest

import forge
import netlab
from forge import IP, IPv6

A4, B4, A6, B6 = "10.1.1.1", "20.1.1.1", "fd10::1", "fd20::1"
AH, IPCOMP = 51, 108


def header(proto, nh=17, spi=0x1234):
    """An AH or IPComp header of no SA, with something behind it."""
    if proto == AH:
        return bytes([nh, 4, 0, 0]) + spi.to_bytes(4, "big") + b"\0\0\0\1" + b"I" * 12
    return bytes([nh, 0]) + spi.to_bytes(2, "big")


def one_host(lab, conf=""):
    w, a, b = netlab.two_hosts(lab)
    a.start(conf)
    return w, a, b


def arrives(w, a, b, packets, count):
    """The packets reach the engine, as so many; the host itself answers none of them."""
    before = a.drops("in-no-sa")
    with w.capture() as c:
        forge.send_ip(w, a, b, *packets)
        netlab.wait_for("packets in the engine", lambda: a.drops("in-no-sa") >= before + count)
    assert a.drops("in-no-sa") == before + count
    assert not [p for p in c.packets() if p.ip is not None and p.src in (A4, A6) and
                not p.is_neighbour_discovery()], "the host answered"


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
