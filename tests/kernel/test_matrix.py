"""Every pair of algorithms that testudo and Linux both have, in every shape, with and without
ESN (then across the 2^32nd packet).  A cell is good when the kernel opened what the engine
sealed, its stack answered, the engine opened what the kernel sealed and let it pass its
inbound check; both refused damaged packets, the engine a replayed one; and the counters and
sequence numbers of both sides are those of exactly these packets.  docs/kernel-matrix.md is
what came out; the test fails when it is not that text.

"run --full" has every cell with every key length and every size.  Else what is between the ends
of the many key lengths of some ciphers, and the sizes, take turns over shapes and ESN."""
import os

import algorithms
import packet_sizes
import packets as pk
import pytest
import sizes
from lab import Cell
from packet_shapes import SHAPES

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "kernel-matrix.md")
FULL = os.environ.get("TDO_FULL") == "1"
QUESTIONS = [pk.Ping(bytes(range(n))) for n in (0, 1, 2, 3, 6, 7, 14, 15, 100)] + \
    [pk.Largest(), pk.ClosedPort(b"received" * 8), pk.Refused()]
MODES = [(shape, esn) for esn in (False, True) for shape in SHAPES]


class Tally:
    """What was good: names of cells, of those that had all sizes, and packets in each direction."""

    def __init__(self):
        self.good, self.sized, self.packets = {}, set(), 0

    def note(self, names, cells, with_sizes, mark="ok"):
        """What is wrong with the cells."""
        for n, c in zip(names, cells):
            if not c.bad:
                self.good[n] = mark
                self.packets += c.sent
                self.sized |= {n} if with_sizes else set()
        return [f"{c}: {'; '.join(c.bad)}"[:600] for c in cells if c.bad]


@pytest.fixture(scope="module")
def tally():
    return Tally()


def pairs_of(lab):
    rows = lab.engine.algorithms()
    assert algorithms.untested(rows) == [], "say in algorithms.py what Linux calls it, or that it has it not"
    return algorithms.pairs(rows)


def takes(pair, esn):
    """ESN needs integrity (RFC 4303 2.2.1)."""
    return pair.integrity or not esn


def run(lab, tally, pairs, mode, questions, with_sizes):
    cells = [Cell(pair, *mode) for pair in pairs]
    lab.place(cells)
    lab.exchange(cells, questions)
    lab.audit(cells)
    bad = tally.note([(str(c.pair), *mode) for c in cells], cells, with_sizes)
    if bad:
        print(lab.guest.run("cat /proc/net/snmp /proc/net/snmp6 /proc/net/softnet_stat; ip -s link"), lab.guest.console())
    assert not bad, f"{len(bad)} cells:\n" + "\n".join(bad[:40])


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_matrix(lab, tally, mode):
    run(lab, tally, [p for p in pairs_of(lab) if takes(p, mode[1]) and (FULL or not p.between)], mode, QUESTIONS, False)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_sizes(wide_lab, tally, mode):
    chosen = []
    for k, p in enumerate(pairs_of(wide_lab)):
        turns = [m for m in MODES if takes(p, m[1])]
        if takes(p, mode[1]) and (FULL or turns[k % len(turns)] == mode):
            chosen.append(p)
    for at in range(0, len(chosen), 100):
        run(wide_lab, tally, chosen[at:at + 100], mode, sizes.every(), True)


def test_empty_esp_is_garbage_to_linux(lab):
    """Why transport mode has no cell with nothing inside of ESP: Linux sends it (sizes.Empty) but
    refuses it, whatever the algorithm, and its counters say so."""
    cells = [Cell(p, s) for p in pairs_of(lab)[::40] for s in SHAPES if s[0] == "transport"]
    lab.place(cells)
    wires = [lab.seal(c, sizes.Exact(0).request(c, 1)) for c in cells]
    lab.transfer(wires, 0, wires)
    lab.guest.run("true")
    assert lab.stat_changes() == {"XfrmInStateProtoError": len(cells)}


# ---- the document

def heading(shape, esn):
    mode, inner, outer = shape
    return f"{'trans' if mode == 'transport' else f'{inner}in'}{outer}{' ESN' * esn}"


def lengths(pairs):
    """Of one row, which have all the same steps between them."""
    bits = [p.bits for p in pairs]
    return f"{bits[0]}–{bits[-1]} by {bits[1] - bits[0]}" if len(bits) > 3 else ", ".join(map(str, bits))


def grouped(pairs):
    """Pairs that differ in the key length alone, and which lengths those with all of them have."""
    rows = {}
    for p in pairs:
        rows.setdefault((p.cipher, p.mac), []).append(p)
    return rows


def mark(tally, pairs, mode):
    ran = [p for p in pairs if (str(p), *mode) in tally.good]
    return "–" if not takes(pairs[0], mode[1]) else "ok" if ran else "?"


UDP = """## ESP in UDP

`tests/kernel/test_udp_encap.py`: RFC 3948 and the older form with a marker, in all shapes, with and without ESN, with ten
algorithms and all of these sizes; through a NAT in front of either end, where transport mode repairs the checksums of TCP,
UDP and ICMPv6 with the original addresses and without them; IKE and keepalives at the same port. Over IPv6 Linux drops,
uncounted, ESP in UDP of less than 40 bytes, which only ciphers with short IVs and ICVs make (xfrm6_udp_encap_rcv() takes the
length of the IP header off twice); it sends such packets."""


def text(release, rows, pairs, tally):
    lines = ["# Linux and testudo agree", "",
             "Written by `tests/kernel/run --matrix`; do not edit.", "",
             f"Peer: Linux {release} in QEMU. {len(pairs)} pairs of algorithms and key lengths, {len(tally.good)} cells, all good, "
             f"{len(tally.sized)} of them with all sizes; {tally.packets} packets in each direction.", "",
             "In every cell each side opened what the other one sealed; each side refused damaged packets. Cells with ESN cross",
             "the 2^32nd packet. What went there and came back, every byte of it compared:", "",
             f"* pings of 0 to 100 bytes and up to the MTU of 1500, UDP to a closed port, a TCP connection refused: {len(QUESTIONS)} packets;",
             *sizes_text(), "",
             "`tests/kernel/run --full` runs all of that; without the word, key lengths between the ends and the sizes take turns.",
             "", "Columns: transport mode over IPv4 and IPv6; tunnels by the family of the inner and the outer header.",
             "–: ESN needs integrity (RFC 4303 2.2.1).", "",
             "| algorithms | bits of the key | " + " | ".join(heading(*m) for m in MODES) + " |",
             "|---" * (len(MODES) + 2) + "|"]
    for (cipher, mac), row in grouped(pairs).items():
        marks = [mark(tally, row, m) for m in MODES]
        lines.append(f"| {cipher}{f' + {mac}' if mac else ''} | {lengths(row)} | " + " | ".join(marks) + " |")
    lines += ["", UDP, "", "## Rows of the table of algorithms that Linux does not have", "",
              "scapy has the implicit IVs, when they are put into its packets and taken out of them (tests/interop). The others have no",
              "stranger: what they put on the wire is compared with packets computed by Python's cryptography and hashlib",
              "(tests/vectors).", ""]
    lines += [f"* {name} ({kind}), keys of {', '.join(map(str, bits))} bits: {algorithms.KERNEL_LACKS[kind, name]}"
              for name, kind, bits in rows if (kind, name) in algorithms.KERNEL_LACKS]
    return "\n".join(lines) + "\n"


def sizes_text():
    """Lines for the documents."""
    return ["* behind the IP header (a protocol for experiments whose packets the guest sends back as they came):",
            f"  {packet_sizes.text()} and {packet_sizes.BIG} bytes;",
            f"  one byte less than fits into MTUs of {', '.join(map(str, packet_sizes.MTUS))} when it is protected, exactly that, and one more;",
            f"  the most that makes a packet of {sizes.LINK} bytes, which is what the virtual link takes.",
            "  0 bytes inside of ESP in transport mode: only from Linux; it takes such packets for garbage (esp_remove_trailer)."]


def without_release(document):
    return [line for line in document.splitlines() if not line.startswith("Peer:")]


def test_document(lab, guest, tally):
    if lab.driver:
        return  # the document is about what testudo takes when nothing is said
    pairs = pairs_of(lab)
    if FULL:
        every = {(str(p), *m) for p in pairs for m in MODES if takes(p, m[1])}
        assert set(tally.good) == every and tally.sized == every
    new = text(guest.release, lab.engine.algorithms(), pairs, tally)
    if os.environ.get("TDO_MATRIX") == "write":
        with open(DOCUMENT, "w") as f:
            f.write(new)
    with open(DOCUMENT) as f:
        old = f.read()
    assert without_release(old) == without_release(new), "docs/kernel-matrix.md is old: tests/kernel/run --matrix"
