"""AH, IPComp, and bundles of AH, ESP and IPComp in all orders, against Linux: as test_matrix.py
does it for ESP.  docs/bundle-matrix.md is what came out, and what Linux could not be asked."""
import itertools
import os

import algorithms
import packets as pk
import pytest
import sizes
from algorithms import MACS, Pair
from packet_shapes import ah_inside, crossed
from stack import COMPRESSIBLE, Layer, Stack, mac
from test_matrix import FULL, Tally, sizes_text, without_release

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "bundle-matrix.md")
QUESTIONS = [pk.Ping(bytes(range(n))) for n in (0, 1, 3, 14, 100)] + \
    [pk.Largest(), pk.ClosedPort(b"received" * 8), pk.Refused()]
CIPHERS = [Pair("aes-gcm-16", 160), Pair("aes-cbc", 128, "hmac-sha256", 256), Pair("chacha20-poly1305", 288),
           Pair("3des-cbc", 192, "hmac-sha1", 160), Pair("aes-gmac", 160)]
FAMILIES = (4, 6)
TUNNELS = (None, 4, 6)
PROTOS = ("esp", "ah", "ipcomp")
# Without --full one cell in so many has all sizes.
SHARE = 5
# What Linux aligns to 8 bytes on IPv4, too, where RFC 4302 2.6 says 4.
ALIGN = "flag align4"


class Turns:
    """Algorithms take turns, so that each comes to stand in each place."""

    def __init__(self, macs):
        self.ciphers, self.macs = itertools.cycle(CIPHERS), itertools.cycle(macs)

    def layer(self, proto, tunnel, family):
        """family: of the packet under it, if that is a tunnel, or on it"""
        if proto == "ipcomp":
            return Layer(proto, tunnel)
        if proto == "esp":
            return Layer(proto, tunnel, next(self.ciphers))
        return Layer(proto, tunnel, mac(*next(self.macs)), ALIGN if family == 4 else "")

    def stack(self, kinds, inner, esn):
        layers, family = [], inner
        for proto, tunnel in kinds:
            family = tunnel or family
            layers.append(self.layer(proto, tunnel, family))
        return Stack(layers, inner, esn)


CROSSED = "no transport mode on a tunnel of another family (XfrmInStateMismatch)"


def why_not(kinds, inner):
    """Why Linux cannot be asked; None if it can."""
    return CROSSED if crossed(kinds, inner) else None


def name(kinds):
    return " ".join(p + (str(t) if t else "") for p, t in kinds)


def sequences(n):
    return list(itertools.product(itertools.product(PROTOS, TUNNELS), repeat=n))


# Of three and more layers what people use, and what is hard.
LONG = [
    [("ipcomp", None), ("esp", None), ("ah", None)],
    [("ipcomp", 4), ("esp", None), ("ah", None)],
    [("ipcomp", 6), ("esp", None), ("ah", None)],
    [("ipcomp", None), ("esp", None), ("ah", 4)],
    [("ipcomp", None), ("ah", None), ("esp", 6)],
    [("esp", None), ("ah", None), ("esp", 4)],
    [("ah", None), ("esp", None), ("ah", 6)],
    [("esp", 4), ("ah", None), ("esp", 4)],
    [("esp", 6), ("ah", None), ("esp", 6)],
    [("esp", 4), ("ah", None), ("esp", 6)],
    [("ah", 6), ("esp", None), ("ah", 4)],
    [("ah", None), ("ah", None), ("ah", None)],
    [("esp", None), ("esp", None), ("esp", None)],
    [("ipcomp", 4), ("esp", 6), ("esp", 4)],
    [("ipcomp", None), ("esp", None), ("ah", None), ("esp", 4)],
    [("ipcomp", 6), ("esp", None), ("ah", None), ("esp", 6)],
]


@pytest.fixture(scope="module")
def tally():
    return Tally()


def run(lab, tally, cells, names, questions=QUESTIONS, with_sizes=False):
    lab.place(cells)
    lab.exchange(cells, questions)
    lab.audit(cells)
    return tally.note(names, cells, with_sizes)


def both(lab, tally, cells, names, questions, compressible=False):
    """What is wrong with the cells, at an MTU of 1500 and then with all sizes.  cells: makes them
    from their numbers, new ones each time."""
    bad = run(lab, tally, [cells(i) for i in range(len(names))], names, questions)
    chosen = [i for i in range(len(names)) if FULL or i % SHARE == 0]
    lab.link(sizes.LINK)
    try:
        for at in range(0, len(chosen), 100):
            part = chosen[at:at + 100]
            bad += run(lab, tally, [cells(i) for i in part], [names[i] for i in part], sizes.every(compressible), True)
    finally:
        lab.link(pk.MTU)
    return bad


def macs_of(lab):
    return [(n, bits[0]) for n, kind, bits in lab.engine.algorithms() if kind == "auth" and n in MACS]


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_ah(lab, tally, esn):
    """Every algorithm, mode and pair of families."""
    asked = [(m, tunnel, inner) for tunnel in TUNNELS for inner in FAMILIES for m in macs_of(lab)]

    def cell(i):
        m, t, inner = asked[i]
        return Stack([Layer("ah", t, mac(*m), ALIGN if (t or inner) == 4 else "")], inner, esn)
    bad = both(lab, tally, cell, [("ah " + m[0], t, i, esn) for m, t, i in asked], QUESTIONS)
    assert not bad, "\n".join(bad[:20])


@pytest.mark.parametrize("esn", [False], ids=[""])
def test_ipcomp(lab, tally, esn):
    asked = [(tunnel, inner) for tunnel in TUNNELS for inner in FAMILIES]
    bad = both(lab, tally, lambda i: Stack([Layer("ipcomp", asked[i][0])], asked[i][1]),
               [("ipcomp", *a, esn) for a in asked], COMPRESSIBLE, True)
    assert not bad, "\n".join(bad[:20])


KINDS = [(k, inner) for inner in FAMILIES for k in sequences(2) + LONG]


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_bundles(lab, tally, esn):
    """Every sequence of two headers in all modes and families, and longer ones."""
    turns, bad = Turns(macs_of(lab)), []
    for compressed in (False, True):
        asked = [(k, inner) for k, inner in KINDS if why_not(k, inner) is None and not ah_inside(k) and
                 (k[0][0] == "ipcomp") == compressed]
        bad += both(lab, tally, lambda i: turns.stack(*asked[i], esn), [(name(k), inner, esn) for k, inner in asked],
                    COMPRESSIBLE if compressed else QUESTIONS, compressed)
    assert not bad, f"{len(bad)} cells:\n" + "\n".join(bad[:20])


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_what_linux_only_sends(wide_lab, tally, esn):
    """It takes the questions in clear, and answers with protection.  Why: test_ah_in_transport.py."""
    lab, turns = wide_lab, Turns(macs_of(wide_lab))
    asked = [(k, inner) for k, inner in KINDS if why_not(k, inner) is None and ah_inside(k)]
    cells, questions = [turns.stack(k, inner, esn) for k, inner in asked], sizes.every()
    lab.place(cells)
    lab.guest.ip([f"xfrm policy delete src {c.us} dst {c.guest} dir in" for c in cells])
    plan = [(c, q, seq) for seq, q in enumerate(questions) for c in cells if q.fits(c)]
    got, others = lab.transfer([q.request(c, seq) for c, q, seq in plan], len(plan))
    assert not others
    for c in cells:
        lab.open(c, questions, got.get(c.spi_out, []))
    bad = tally.note([(name(k), inner, esn) for k, inner in asked], cells, True, "sends")
    assert not bad, f"{len(bad)} cells:\n" + "\n".join(bad[:20])


# ---- the document

def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(heading, columns, rows):
    return [row([heading] + columns), "|---" * (len(columns) + 1) + "|"] + [row(r) for r in rows]


def names_of(condition):
    return ", ".join(f"{name(k)} (IPv{inner})" for k, inner in KINDS if condition(k, inner))


WHY_SENDS = """## Why Linux only sends some

"sends": AH and on it ESP or IPComp in transport mode, with no IP header between them. Linux 6.1 makes such packets and
testudo opens them; but Linux refuses them, its own ones, too. What is left of xfrm_input() after it has taken ESP off goes
straight on with AH, and the IP header still has the number of ESP as its protocol; only behind the last header
xfrm4_transport_finish() puts the right one there. AH covers that field (RFC 4302 3.3.3.1), so its ICV is another one. That is
before any policy is looked up: without a policy, with `level use` and with the states alone it is the same, and a packet
whose ICV was computed over the wrong number is accepted (tests/kernel/test_ah_in_transport.py shows all four). With a tunnel
header between the two it is right. In these cells Linux is asked in clear and answers with protection; the other
direction is scapy's, which has both (tests/interop/test_bundles.py)."""


def text(release, tally, lab):
    shapes = [(tunnel, inner, esn) for esn in (False, True) for tunnel in TUNNELS for inner in FAMILIES]
    columns = [(f"{i}in{t}" if t else f"trans{i}") + " ESN" * e for t, i, e in shapes]
    rows = lab.engine.algorithms()
    lines = ["# Linux and testudo agree: AH, IPComp, bundles", "", "Written by `tests/kernel/run --matrix`; do not edit.", "",
             f"Peer: Linux {release} in QEMU. {len(tally.good)} cells, all good, {len(tally.sized)} of them with all sizes; "
             f"{tally.packets} packets in each direction.", "",
             "In each cell both sides opened what the other one sealed, and refused damaged and repeated packets; counters and sequence",
             "numbers agree. With ESN the 2^32nd packet is crossed. Columns as in kernel-matrix.md. Every byte was compared of",
             "", "* pings up to the MTU of 1500, UDP to a closed port, a TCP connection refused;", *sizes_text(),
             f"  IPComp innermost: the same sizes, compressible and not; compressed no more than {sizes.LINUX_IPCOMP} bytes, for which Linux has",
             f"  room (IPCOMP_SCRATCH_SIZE). AH, and several headers: up to {sizes.LINK - 1000} bytes inside of them.", "",
             "`tests/kernel/run --full` runs all of that; without the word the sizes take turns over the cells.", "", "## AH", ""]
    lines += table("algorithm, bits of the key", columns,
                   [[f"{m} {bits}"] + [tally.good["ah " + m, *s] for s in shapes] for m, bits in macs_of(lab)])
    lines += ["", "On IPv4 with its `flag align4`: else Linux makes the header a multiple of 8 bytes (`-o align=8`).", "",
              "## IPComp", ""]
    lines += table("", columns[:6], [["deflate"] + [tally.good["ipcomp", *s] for s in shapes[:6]]])
    lines += ["", "## Bundles", "", "Headers from the innermost one; a number: it is a tunnel, in IPv4 or IPv6. –, sends: below. Algorithms take turns.",
              ""]
    cells = [(inner, esn) for esn in (False, True) for inner in FAMILIES]
    lines += table("headers", ["IPv4", "IPv6", "IPv4 ESN", "IPv6 ESN"],
                   [[name(k)] + [tally.good.get((name(k), *c), "–") for c in cells] for k, inner in KINDS if inner == 4])
    lines += ["", WHY_SENDS, "", "## Cells that Linux was not asked for", "",
              "* " + CROSSED + ": scapy, with Python's zlib for IPComp, makes and opens all of them, in all sizes",
              "  (tests/interop/test_bundles.py): " + names_of(why_not),
              "", "## Cells without a stranger", "",
              "Nobody was found who has these algorithms; packets computed by Python's cryptography and hashlib (tests/vectors) stand for",
              "one. All sizes, modes and families go through two engines (tests/prop/prop_bundles.c).", ""]
    lines += [f"* {'AH and ESP' if kind == 'auth' else 'ESP'} with {n}, keys of {', '.join(map(str, bits))} bits (Linux: "
              f"{algorithms.KERNEL_LACKS[kind, n]})" for n, kind, bits in rows if (kind, n) in algorithms.KERNEL_LACKS and not n.endswith("-iiv")]
    lines += ["* ESP in transport mode around nothing, towards Linux (above); scapy takes it",
              "* IPComp of more than Linux has room for (above); Python's zlib takes it"]
    return "\n".join(lines) + "\n"


def test_document(guest, lab, tally):
    """All of the above ran, and the document says what came out."""
    if lab.driver:
        return
    if FULL:
        assert tally.sized == set(tally.good)
    new = text(guest.release, tally, lab)
    if os.environ.get("TDO_MATRIX") == "write":
        with open(DOCUMENT, "w") as f:
            f.write(new)
    with open(DOCUMENT) as f:
        old = f.read()
    assert without_release(old) == without_release(new), "docs/bundle-matrix.md is old: tests/kernel/run --matrix"
