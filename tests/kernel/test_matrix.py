"""Every pair of algorithms that testudo and Linux both have, in every shape, with and without
ESN (then across the 2^32nd packet).  A cell is good when the kernel opened what the engine
sealed, its stack answered, the engine opened what the kernel sealed and let it pass its
inbound check; both refused damaged packets, the engine a replayed one; and the counters and
sequence numbers of both sides are those of exactly these packets.  docs/kernel-matrix.md is
what came out; the test fails when it is not that text."""
import os

import algorithms
import packets as pk
from lab import SHAPES, Cell

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "kernel-matrix.md")
QUESTIONS = [pk.Ping(bytes(range(n))) for n in (0, 1, 2, 3, 6, 7, 14, 15, 100)] + \
    [pk.Largest(), pk.ClosedPort(b"received" * 8), pk.Refused()]
MODES = [(shape, esn) for esn in (False, True) for shape in SHAPES]


def run(lab, pairs, shape, esn):
    cells = [Cell(pair, shape, esn) for pair in pairs if pair.integrity or not esn]
    lab.place(cells)
    lab.exchange(cells, QUESTIONS)
    lab.audit(cells)
    return cells


def heading(shape, esn):
    mode, inner, outer = shape
    return f"{'trans' if mode == 'transport' else f'{inner}in'}{outer}{' ESN' * esn}"


def text(release, rows, pairs, good):
    total = sum(len(v) for v in good.values())
    lines = ["# Linux and testudo agree", "",
             "Written by `tests/kernel/run --matrix`; do not edit.", "",
             f"Peer: Linux {release} in QEMU. {len(pairs)} pairs of algorithms, {total} cells, all good.",
             f"In every cell each side opened what the other one sealed: {len(QUESTIONS)} packets of 0 bytes up to the MTU, their",
             "answers, UDP and TCP inside; each side refused damaged packets. Cells with ESN cross the 2^32nd packet.",
             "Columns: transport mode over IPv4 and IPv6; tunnels by the family of the inner and the outer header.",
             "–: ESN needs integrity (RFC 4303 2.2.1).", "",
             "| algorithms | " + " | ".join(heading(*m) for m in MODES) + " |",
             "|---" * (len(MODES) + 1) + "|"]
    for pair in pairs:
        lines.append(f"| {pair} | " + " | ".join("ok" if str(pair) in good[m] else "–" for m in MODES) + " |")
    lines += ["", "## Rows of the table of algorithms that Linux does not have", ""]
    lines += [f"* {name} ({kind}): {algorithms.KERNEL_LACKS[kind, name]}" for name, kind, _ in rows
              if (kind, name) in algorithms.KERNEL_LACKS]
    return "\n".join(lines) + "\n"


def without_release(document):
    return [line for line in document.splitlines() if not line.startswith("Peer:")]


def test_matrix(lab, guest):
    rows = lab.engine.algorithms()
    assert algorithms.untested(rows) == [], "say in algorithms.py what Linux calls it, or that it has it not"
    pairs = algorithms.pairs(rows)
    good, bad = {}, []
    for shape, esn in MODES:
        cells = run(lab, pairs, shape, esn)
        good[shape, esn] = {str(c.pair) for c in cells if not c.bad}
        bad += [f"{c}: {'; '.join(c.bad)}"[:600] for c in cells if c.bad]
    if bad:
        print(guest.run("cat /proc/net/snmp /proc/net/snmp6 /proc/net/softnet_stat; ip -s link"), guest.console())
    assert not bad, f"{len(bad)} cells:\n" + "\n".join(bad[:40])
    if lab.driver:
        return  # the document is about what testudo takes when nothing is said
    new = text(guest.release, rows, pairs, good)
    if os.environ.get("TDO_MATRIX") == "write":
        with open(DOCUMENT, "w") as f:
            f.write(new)
    with open(DOCUMENT) as f:
        old = f.read()
    assert without_release(old) == without_release(new), "docs/kernel-matrix.md is old: tests/kernel/run --matrix"
