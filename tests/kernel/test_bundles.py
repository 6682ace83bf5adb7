"""AH, IPComp, and bundles of AH, ESP and IPComp in all orders, against Linux: as test_matrix.py
does it for ESP.  docs/bundle-matrix.md is what came out, and what Linux could not be asked."""
import itertools
import os

import algorithms
import packets as pk
import pytest
from algorithms import MACS, Pair
from lab import damage
from stack import COMPRESSIBLE, Layer, Stack, mac
from test_matrix import without_release

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "bundle-matrix.md")
QUESTIONS = [pk.Ping(bytes(range(n))) for n in (0, 1, 3, 14, 100)] + \
    [pk.Largest(), pk.ClosedPort(b"received" * 8), pk.Refused()]
CIPHERS = [Pair("aes-gcm-16", 160), Pair("aes-cbc", 128, "hmac-sha256", 256), Pair("chacha20-poly1305", 288),
           Pair("3des-cbc", 192, "hmac-sha1", 160), Pair("aes-gmac", 160)]
FAMILIES = (4, 6)
TUNNELS = (None, 4, 6)
PROTOS = ("esp", "ah", "ipcomp")
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
    crossed, family = False, inner
    for _, tunnel in kinds:
        if tunnel:
            crossed, family = crossed or tunnel != family, tunnel
        elif crossed:
            return CROSSED
    return None


def only_sends(kinds):
    """AH and then ESP or IPComp on one IP header: Linux makes it right, but when it takes the outer
    one off it leaves its number in the IP header while it checks AH: it refuses its own packets, too."""
    return any(a[0] == "ah" and b[0] != "ah" and not b[1] for a, b in zip(kinds, kinds[1:]))


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
def results():
    """What came out of each cell."""
    return {}


def run(lab, results, cells, names, questions=QUESTIONS):
    lab.place(cells)
    lab.exchange(cells, questions)
    lab.audit(cells)
    results.update((n, "ok") for c, n in zip(cells, names) if not c.bad)
    return [f"{c}: {'; '.join(c.bad)}"[:500] for c in cells if c.bad]


def macs_of(lab):
    return [(n, bits[0]) for n, kind, bits in lab.engine.algorithms() if kind == "auth" and n in MACS]


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_ah(lab, results, esn):
    """Every algorithm, mode and pair of families."""
    asked = [(m, tunnel, inner) for m in macs_of(lab) for tunnel in TUNNELS for inner in FAMILIES]
    bad = run(lab, results, [Stack([Layer("ah", t, mac(*m), ALIGN if (t or i) == 4 else "")], i, esn) for m, t, i in asked],
              [("ah " + m[0], t, i, esn) for m, t, i in asked])
    assert not bad, "\n".join(bad[:20])


def test_ipcomp(lab, results):
    asked = [(tunnel, inner) for tunnel in TUNNELS for inner in FAMILIES]
    bad = run(lab, results, [Stack([Layer("ipcomp", t)], i) for t, i in asked],
              [("ipcomp", t, i, False) for t, i in asked], COMPRESSIBLE)
    assert not bad, "\n".join(bad[:20])


KINDS = [(k, inner) for inner in FAMILIES for k in sequences(2) + LONG]


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_bundles(lab, results, esn):
    """Every sequence of two headers in all modes and families, and longer ones."""
    turns, bad = Turns(macs_of(lab)), []
    for compressed in (False, True):
        asked = [(k, inner) for k, inner in KINDS if why_not(k, inner) is None and not only_sends(k) and
                 (k[0][0] == "ipcomp") == compressed]
        bad += run(lab, results, [turns.stack(k, inner, esn) for k, inner in asked],
                   [(name(k), inner, esn) for k, inner in asked], COMPRESSIBLE if compressed else QUESTIONS)
    assert not bad, f"{len(bad)} cells:\n" + "\n".join(bad[:20])


@pytest.mark.parametrize("esn", [False, True], ids=["", "esn"])
def test_what_linux_only_sends(lab, guest, results, esn):
    turns = Turns(macs_of(lab))
    asked = [(k, inner) for k, inner in KINDS if why_not(k, inner) is None and only_sends(k)]
    cells = [turns.stack(k, inner, esn) for k, inner in asked]
    lab.place(cells)
    guest.run("".join(f"ping -c 1 -W 1 -s {size} -I {c.guest} {c.us} >/dev/null 2>&1 &\n"
                      for c in cells for size in (0, 100, 1200)) + "wait; true")
    got, others = lab.transfer([], 3 * len(cells))
    assert not others
    for c, (k, inner) in zip(cells, asked):
        wires = got[c.spi_out]
        for at in (-1, pk.payload(wires[0])[1] + 13) if c.integrity else ():
            bad = damage(wires[0], at)
            assert lab.engine.packet("in", bad) == ("drop", "in-icv-mismatch"), str(c)
        answers = [lab.engine.packet("in", w) for w in wires]
        assert [word for word, _ in answers] == ["pass"] * 3, (str(c), answers)
        assert sorted(len(p) - pk.HEADER[inner] - 8 for _, p in answers) == [0, 100, 1200], str(c)
        assert lab.engine.packet("in", wires[0]) == ("drop", "in-replay-duplicate"), str(c)
        results[name(k), inner, esn] = "sends"
    # The reason why it is not asked for more: what it made it refuses.
    c, (k, inner) = cells[0], asked[0]
    assert why_not(k, inner) is None
    got, _ = lab.transfer([lab.seal(c, pk.Ping(b"").request(c, 1))], 0)
    guest.run("true")
    assert lab.stat_changes().get("XfrmInStateProtoError") == 1


# ---- the document

def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(heading, columns, rows):
    return [row([heading] + columns), "|---" * (len(columns) + 1) + "|"] + [row(r) for r in rows]


def text(release, results, lab):
    shapes = [(tunnel, inner, esn) for esn in (False, True) for tunnel in TUNNELS for inner in FAMILIES]
    columns = [(f"{i}in{t}" if t else f"trans{i}") + " ESN" * e for t, i, e in shapes]
    macs = [m for m, _ in macs_of(lab)]
    lines = ["# Linux and testudo agree: AH, IPComp, bundles", "", "Written by `tests/kernel/run --matrix`; do not edit.", "",
             f"Peer: Linux {release} in QEMU. {len(results)} cells, all good: in each one both sides opened what the other one",
             "sealed, from no data up to the MTU, and refused damaged and repeated packets; counters and sequence numbers",
             "agree. With ESN the 2^32nd packet is crossed. Columns as in kernel-matrix.md.", "", "## AH", ""]
    lines += table("algorithm", columns, [[m] + [results["ah " + m, *s] for s in shapes] for m in macs])
    lines += ["", "On IPv4 with its `flag align4`: else Linux makes the header a multiple of 8 bytes (`-o align=8`).", "",
              "## IPComp", ""]
    lines += table("", columns[:6], [["deflate"] + [results["ipcomp", *s] for s in shapes[:6]]])
    lines += ["", "## Bundles", "", "Headers from the innermost one; a number: it is a tunnel, in IPv4 or IPv6. sends: Linux makes such packets and",
              "testudo opens them, but Linux refuses them, its own ones, too (AH checked with the wrong protocol field). –: below.",
              ""]
    kinds = [k for k, inner in KINDS if inner == 4]
    cells = [(inner, esn) for esn in (False, True) for inner in FAMILIES]
    lines += table("headers", ["IPv4", "IPv6", "IPv4 ESN", "IPv6 ESN"],
                   [[name(k)] + [results.get((name(k), *c), "–") for c in cells] for k in kinds])
    lines += ["", "## Cells that Linux was not asked for", ""]
    lines += [f"* AH with {n}: {algorithms.KERNEL_LACKS['auth', n]}" for n, kind, _ in lab.engine.algorithms()
              if kind == "auth" and ("auth", n) in algorithms.KERNEL_LACKS]
    names = [f"{name(k)} (IPv{inner})" for k, inner in KINDS if why_not(k, inner)]
    lines += ["* " + CROSSED + "; scapy makes and opens those without IPComp (tests/interop), those with it nobody",
              "  but testudo itself (tests/prop/prop_bundles.c): " + ", ".join(names)]
    return "\n".join(lines) + "\n"


def test_document(guest, lab, results):
    """All of the above ran, and the document says what came out."""
    if lab.driver:
        return
    new = text(guest.release, results, lab)
    if os.environ.get("TDO_MATRIX") == "write":
        with open(DOCUMENT, "w") as f:
            f.write(new)
    with open(DOCUMENT) as f:
        old = f.read()
    assert without_release(old) == without_release(new), "docs/bundle-matrix.md is old: tests/kernel/run --matrix"
