"""strongSwan's ESP in UDP (kernel-libipsec) at the other end of a tunnel, with a NAT between.

Two charons agree on keys; then one of them is killed, and testudo takes its place with the keys
that the log tells.  TDO_MEGABYTES (20) are moved in each direction.
"""
import os

import pytest

import charon
import natlab
import netlab
from charon import Charon
from natlab import CLIENTS, INNER, Nat, NETS, OUTSIDE, PORT, Seen, SERVER, SERVER_INNER, SERVER_NET, Streams

MEGABYTES = int(os.environ.get("TDO_MEGABYTES", "20"))
# What IKE calls it, and setkey; bits of the integrity key.
SUITES = {"aes128gcm16": ("aes-gcm-16", None), "aes256-sha256": ("aes-cbc", "hmac-sha256"),
          "chacha20poly1305": ("chacha20-poly1305", None)}
INNERS = (list(NETS[0].values()), list(SERVER_NET.values()))


def statements(keys, suite, side, port):
    """The child's SAs and policies as setkey has them, for client or server."""
    ealg, aalg = SUITES[suite]
    me = (CLIENTS[0][4], PORT) if side == "client" else (OUTSIDE[4], port)
    ends = {"initiator": (*me, SERVER[4], PORT), "responder": (SERVER[4], PORT, *me)}
    text = ""
    for who, (spi, e, a) in keys.items():
        src, sport, dst, dport = ends[who]
        words = f"-E {ealg} 0x{e}" + (f" -A {aalg} 0x{a}" if aalg else "")
        text += f"add {src}[{sport}] {dst}[{dport}] esp-udp {spi} -m tunnel -r 16 {words};\n"
    here, there = (me[0], SERVER[4]) if side == "client" else (SERVER[4], me[0])
    for af in (4, 6):
        mine, other = (NETS[0][af], SERVER_NET[af])[::1 if side == "client" else -1]
        text += (f"spdadd {mine} {other} any -P out ipsec esp/tunnel/{here}-{there}/require;\n"
                 f"spdadd {other} {mine} any -P in ipsec esp/tunnel/{there}-{here}/require;\n")
    return text


@pytest.mark.parametrize("suite,side", [("aes128gcm16", "client"), ("aes128gcm16", "server"),
                                        ("aes256-sha256", "client"), ("chacha20poly1305", "server")])
def test_other_end_is_strongswan(lab, suite, side):
    nat = Nat(lab)
    c, s = nat.clients[0], nat.server
    peer = Charon(lab, s, SERVER[4], None, *INNERS[::-1], esp=suite)
    mine = Charon(lab, c, CLIENTS[0][4], SERVER[4], *INNERS, esp=suite, chd=4)
    mine.initiate()
    keys = charon.child(mine.log())
    gone, host = (mine, c) if side == "client" else (peer, s)
    gone.kill()
    host.start()
    host.setkey(statements(keys, suite, side, nat.port()))
    with nat.outside.capture() as out:
        for af in (4, 6):
            natlab.answers(c, SERVER_INNER[af], INNER[0][af], count=3)
            natlab.answers(c, SERVER_INNER[af], INNER[0][af], size=1300)
            netlab.tcp(c, s, SERVER_INNER[af], src=INNER[0][af])
    out = Seen(out)
    assert not out.clear([SERVER[4], OUTSIDE[4]], ike=True)
    assert out.ports(OUTSIDE[4], SERVER[4]) == {(nat.port(), PORT)}
    if suite == "aes128gcm16":
        Streams(c, s, INNER[0][4], SERVER_INNER[4], MEGABYTES << 20, seconds=150).ok(150)
