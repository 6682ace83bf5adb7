"""The engine and the guest as the two ends of many pairs of SAs at once.  Every cell (an
algorithm pair in one shape, with or without ESN) has addresses of ours of its own, so
that selectors and tunnel ends keep the cells apart on both sides."""
import collections
import random
import re

import packets as pk
import sizes
from guest import OUR_MAC
from packet_engine import Engine

# mid: a tunnel inside of a tunnel.
GUEST = {"in": {4: "10.90.0.2", 6: "fd90::2"}, "mid": {4: "10.85.0.2", 6: "fd85::2"},
         "out": {4: "10.80.0.2", 6: "fd80::2"}}
OURS = {"in": {4: "10.91.{}.{}", 6: "fd91::{:x}"}, "mid": {4: "10.86.{}.{}", 6: "fd86::{:x}"},
        "out": {4: "10.81.{}.{}", 6: "fd81::{:x}"}}
NEAR = 2**32 - 4  # where the counters of cells with ESN start
MIDDLE = 2**31
# Packets under way.  Linux answers pings from one socket: what it has sent and we have not yet
# taken must fit into that one's send buffer of some 130 KB, or an answer is lost.  A packet counts for
# as many as it has PARTs, or for all.
WINDOW, PART = 16, 2048


def shape_name(shape):
    mode, inner, outer = shape
    return f"{mode} IPv{inner}" + (f" in IPv{outer}" if mode == "tunnel" else "")


def ours(layer, af, n):
    return OURS[layer][af].format(n >> 8, n & 255) if af == 4 else OURS[layer][af].format(n)


class Cell:
    """ESP alone; stack.Stack has the same face, with any headers."""
    optional = False
    compresses = False
    word = "in"  # how the engine is given what the guest sends
    front = 0  # bytes between the IP header and the first one of IPsec
    most = sizes.LINK

    def __init__(self, pair, shape, esn=False, window=64, state=""):
        """state: more words for the guest's states"""
        self.pair, self.shape, self.esn, self.state = pair, shape, esn, state
        self.integrity, self.inner = pair.integrity, shape[1]
        # Without integrity there is no check of sequence numbers (RFC 4303 3.4.3).
        self.window = window if pair.integrity else 0
        self.bad = []
        self.sent = self.damaged = self.received = 0
        self.skipped = set()  # questions that were sealed, but not sent

    def place(self, n):
        mode, inner, outer = self.shape
        self.n = n
        self.spi_in, self.spi_out = 0x1000 + 2 * n, 0x1001 + 2 * n  # as the guest sees it
        self.tunnel = mode == "tunnel"
        layer = "in" if self.tunnel else "out"
        self.us, self.guest = ours(layer, inner, n), GUEST[layer][inner]
        self.outer_us, self.outer_guest = ours("out", outer, n), GUEST["out"][outer]
        r = random.Random(n)
        self.keys = [(r.randbytes(self.pair.bits // 8), r.randbytes(self.pair.mac_bits // 8)) for _ in range(2)]

    def __str__(self):
        return f"{self.pair}, {shape_name(self.shape)}{', ESN' if self.esn else ''}"

    @property
    def takes_no_empty_esp(self):
        """Linux takes ESP with nothing inside for garbage (esp_remove_trailer); it sends such packets."""
        return not self.tunnel

    def room(self, mtu):
        return self.rooms[mtu]

    def wire_ok(self, wire, ours):
        """What stands in front of the first header of IPsec, in a packet of ours or of the guest."""
        return True

    def is_lost(self, wire):
        """Linux is known not to take it."""
        return False

    @staticmethod
    def damage(wire, at):
        return damage(wire, at)

    def fail(self, *words):
        self.bad.append(" ".join(map(str, words)))

    def encap(self, ours_inbound):
        """Words of the guest's state."""
        return ""

    # ---- our side

    def engine_sa(self, inbound, last=0):
        """Words of the SA that takes packets to the guest (outbound), or from it."""
        ends = (self.outer_us, self.outer_guest)
        key, mac_key = self.keys[inbound]
        words = ["sa", *(ends[::-1] if inbound else ends), self.spi_out if inbound else self.spi_in,
                 self.shape[0], self.pair.cipher, key.hex() or "-", self.pair.mac or "-",
                 mac_key.hex() or "-", self.window]
        return words + ["esn"] * self.esn + [f"seq={last}"] * (last > 0)

    def engine_sp(self, direction, swap):
        bits = {4: 32, 6: 128}[self.shape[1]]
        ends, outer = (self.us, self.guest), (self.outer_us, self.outer_guest)
        if swap:
            ends, outer = ends[::-1], outer[::-1]
        return ["sp", direction, *(f"{a}/{bits}" for a in ends), self.shape[0], *(outer if self.tunnel else ())]

    def prepare_engine(self, engine):
        engine.ok(*self.engine_sa(False, NEAR if self.esn else 0))
        engine.ok(*self.engine_sa(True))
        engine.ok(*self.engine_sp("out", False))
        engine.ok(*self.engine_sp("in", True))
        self.rooms = sizes.rooms(engine, pk.Ping(b"").request(self, 0))

    def prepare_twin(self, engine):
        engine.ok(*self.engine_sa(True, MIDDLE))
        engine.ok(*self.engine_sp("out", True))

    def numbers(self, engine):
        """Of each SA: the last number sent, the highest one received."""
        sent = engine.say("seq", self.outer_us, self.outer_guest, self.spi_in)[1].split()[0]
        return [(int(sent), int(engine.say("seq", self.outer_guest, self.outer_us, self.spi_out)[1].split()[1]))]

    # ---- the guest's side

    def count(self, plain):
        self.sent += 1

    def counts(self):
        """Of each SA: its SPIs and the packets that it must have counted, received (a range) and sent."""
        return [(self.spi_in, self.spi_out, range(self.sent, self.sent + 1), self.received)]

    def guest_commands(self):
        mode = self.shape[0]
        for inbound, (src, dst, spi) in enumerate(((self.outer_us, self.outer_guest, self.spi_in),
                                                   (self.outer_guest, self.outer_us, self.spi_out))):
            words = f"src {src} dst {dst} proto esp spi {spi:#x} mode {mode} replay-window {self.window}"
            words += self.encap(inbound)
            flags = ["esn"] * self.esn + ["af-unspec"] * self.tunnel
            words += "".join(f" flag {f}" for f in flags)
            if self.esn:
                words += f" replay-seq {NEAR:#x} replay-seq-hi 0 replay-oseq {NEAR:#x} replay-oseq-hi 0"
            yield f"xfrm state add {words} {self.state} {self.pair.guest_words(*self.keys[inbound])}"
        ends = f"src {self.outer_us} dst {self.outer_guest} " if self.tunnel else ""
        back = f"src {self.outer_guest} dst {self.outer_us} " if self.tunnel else ""
        yield f"xfrm policy add src {self.us} dst {self.guest} dir in tmpl {ends}proto esp mode {mode}"
        yield f"xfrm policy add src {self.guest} dst {self.us} dir out tmpl {back}proto esp mode {mode}"


class Lab:
    def __init__(self, guest, driver=None):
        self.guest, self.driver = guest, driver
        self.engine, self.twin, self.joiner = Engine(driver), Engine(driver), pk.Joiner()
        self.patience, self.n = 60, 0
        guest.run("sysctl -w net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 "
                  "net.ipv4.icmp_msgs_burst=100000 net.ipv6.icmp.ratelimit=0 net.ipv6.conf.all.accept_dad=0 "
                  "net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.accept_ra=0 >/dev/null")
        mac = OUR_MAC.hex(":")
        guest.ip([f"addr replace {GUEST[layer][af]}/{bits} dev {dev}{' nodad' * (af == 6)}"
                  for layer, dev in (("in", "lo"), ("mid", "lo"), ("out", "eth0")) for af, bits in ((4, 32), (6, 128))] +
                 ["neigh replace 10.80.0.1 lladdr " + mac + " dev eth0 nud permanent",
                  "neigh replace fe80::1 lladdr " + mac + " dev eth0 nud permanent",
                  "route replace default via 10.80.0.1 dev eth0 onlink",
                  "route replace ::/0 via fe80::1 dev eth0"])

    def close(self):
        self.engine.close()
        self.twin.close()

    def link(self, mtu):
        self.guest.run(f"ip link set eth0 mtu {mtu}")

    def clear(self):
        self.guest.run("ip xfrm state flush; ip xfrm policy flush")
        self.engine.ok("flush")
        self.twin.ok("flush")
        self.spis, self.unprotected = {}, {}
        while self.guest.receive(0.02):
            pass

    def place(self, cells):
        """Installs the cells on both sides, and nothing else."""
        self.clear()
        commands = []
        for c in cells:
            # Numbers are never used again: what is late cannot be taken for something else.
            self.n += 1
            c.place(self.n)
            c.prepare_engine(self.engine)
            commands += c.guest_commands()
            self.spis[c.spi_out] = c
            if c.optional:
                self.unprotected[c.outer_us] = c
                self.spis.update((spi_out, c) for _, spi_out in c.spis)
        self.guest.ip(commands)
        self.stat = self.xfrm_stat()
        self._move_forward([c for c in cells if c.esn])

    def _move_forward(self, cells):
        """Brings our inbound windows into the upper half of the 32 bits, where the guest starts:
        by a packet of a twin of the guest."""
        plain = []
        for c in cells:
            c.prepare_twin(self.twin)
            plain.append(pk.ip(c.guest, c.us, pk.ICMP_OF[c.inner], pk.echo(c.guest, c.us, 1, 1, b"first")))
        sealed = self.twin.packets("out", plain)
        word = cells[0].word if cells else "in"
        for c, (word, value) in zip(cells, self.engine.packets(word, [p for _, p in sealed])):
            if word != "pass":
                c.fail("the first packet is dropped:", value)

    # ---- traffic

    def transfer(self, wires, expected, unanswered=()):
        """Sends packets to the guest; what comes back: protected packets by SPI, and all others.
        Ends when as many as expected came.  unanswered: packets that are not waited for."""
        got, others, count = {}, [], 0
        pending, window = list(reversed(wires)), collections.deque()
        while count < expected or pending:
            while pending and (not window or sum(window) + cost(pending[-1]) <= WINDOW):
                p = pending.pop()
                self.guest.send(p)
                if p not in unanswered:
                    window.append(cost(p))
            if count >= expected and not pending:
                break
            p = self.guest.receive(self.patience)
            if p is None:
                break
            p = self.joiner.add(p)
            if p is None:
                continue
            count += 1
            if window:
                window.popleft()
            owner = self.owner(p)
            if owner:
                got.setdefault(owner.spi_out, []).append(p)
            else:
                others.append(p)
        return got, others

    def owner(self, p):
        """The cell of a packet of the guest; None if it has not the protection of one."""
        spi = self.spi_of(p)
        return self.spis.get(spi) if spi is not None else self.unprotected.get(pk.addresses(p)[1])

    @staticmethod
    def spi_of(p):
        """SPI of an ESP or AH packet, CPI of an IPComp one, else None."""
        proto, at = pk.payload(p)
        first, last = {50: (0, 4), 51: (4, 8), 108: (2, 4), pk.UDP: esp_in_udp(p, at)}.get(proto, (0, 0))
        return int.from_bytes(p[at + first:at + last], "big") if last else None

    def protects(self, cell, wire):
        spi = self.spi_of(wire)
        if not cell.wire_ok(wire, True):
            return False
        return spi == cell.spi_in or (cell.optional and (spi is None or spi in (x for x, _ in cell.spis)))

    def seal(self, cell, plain):
        word, wire = self.engine.packet("out", plain)
        assert word == "send", (str(cell), wire)
        assert self.protects(cell, wire)
        return wire

    def ask(self, cell, question, seq=1):
        """One packet and what comes of it, opened: the answer, as the engine passed it on."""
        got, others = self.transfer([self.seal(cell, question.request(cell, seq))], 1)
        assert not others and len(got.get(cell.spi_out, [])) == 1, (str(cell), got, others)
        word, value = self.engine.packet(cell.word, got[cell.spi_out][0])
        assert word == "pass", (str(cell), value)
        a = pk.Answer(value)
        assert question.answered_by(a, cell, seq), (str(cell), a)
        return a

    def exchange(self, cells, questions):
        """Every cell sends the questions, protected; its answers are opened and compared.  Then a
        damaged packet in each direction, if the cell can notice it."""
        plan = [(c, q, seq) for seq, q in enumerate(questions) for c in cells if q.fits(c)]
        sealed = self.engine.packets("out", [q.request(c, seq) for c, q, seq in plan])
        wires, bad, good = [], set(), 0
        for (c, q, seq), (word, wire) in zip(plan, sealed):
            if word != "send":
                c.fail(f"packet {seq} is not sent:", wire)
                continue
            if not fits(q, c, wire):
                c.fail(f"packet {seq} has {len(wire)} bytes")
            if c.is_lost(wire):
                c.skipped.add(q)
                continue
            if not self.protects(c, wire):
                c.fail(f"packet {seq} is not protected")
            if seq == 0 and c.integrity:
                # The last byte, and one of the IV or the ICV.
                for at in (len(wire) - 1, pk.payload(wire)[1] + c.front + 13):
                    wires.append(c.damage(wire, at))
                    bad.add(wires[-1])
                    c.damaged += 1
            wires.append(wire)
            c.count(q.request(c, seq))
            good += 1
        got, others = self.transfer(wires, good, bad)
        for p in others:
            cells[0].fail("unexpected packet of the guest:", p.hex())
        for c in cells:
            self.open(c, questions, got.get(c.spi_out, []))

    def open(self, c, questions, wires):
        """Opens the answers of a cell and compares them; damaged and repeated ones, too."""
        c.received += len(wires)
        if c.integrity and wires:
            # Not the SPI: it would be another SA's.
            at = max(len(wires[0]) * 2 // 3, pk.payload(wires[0])[1] + c.front + 12)
            bad = [c.damage(wires[0], len(wires[0]) - 1), c.damage(wires[0], at)]
            for word, value in self.engine.packets(c.word, bad):
                if (word, value) != ("drop", "in-icv-mismatch"):
                    c.fail("a damaged answer:", word, value)
        waiting = [(seq, q) for seq, q in enumerate(questions) if q.fits(c) and q not in c.skipped]
        for wire, (word, value) in zip(wires, self.engine.packets(c.word, wires)):
            if not c.wire_ok(wire, False):
                c.fail("in front of an answer:", wire.hex())
            if word != "pass":
                c.fail("an answer is dropped:", value)
                continue
            a = pk.Answer(value)
            found = next((w for w in waiting if (a.src, a.dst, a.fragment) == (c.guest, c.us, 0) and
                          w[1].answered_by(a, c, w[0])), None)
            if found is None:
                c.fail("a wrong answer:", a)
                continue
            waiting.remove(found)
            if not fits(found[1], c, wire):
                c.fail(f"the answer to {found[0]} has {len(wire)} bytes")
        if waiting:
            c.fail("no answer to", [seq for seq, _ in waiting])
        for word, value in self.engine.packets(c.word, wires[-1:]) if c.window else []:
            if (word, value) != ("drop", "in-replay-duplicate"):
                c.fail("a replayed answer:", word, value)

    # ---- what both sides have counted

    def xfrm_stat(self):
        text = self.guest.run("cat /proc/net/xfrm_stat")
        return {k: int(v) for k, v in (line.split() for line in text.splitlines() if line.strip())}

    def stat_changes(self):
        now = self.xfrm_stat()
        return {k: v - self.stat[k] for k, v in now.items() if v != self.stat[k]}

    def states(self):
        """{spi: (packets, refused by replay, refused by integrity, highest received, last sent)}"""
        text = self.guest.run(
            "ip -s xfrm state | awk '/^src/ {if (l) print l; l = \"\"} /proto (esp|ah|comp) spi/ {l = $4} "
            "/\\(packets\\)/ && /\\(bytes\\), [0-9]/ {l = l \" \" $0} /replay-window.*replay.*failed/ {l = l \" \" $0} "
            "/seq-hi/ {l = l \" \" $0} END {print l}'")
        out = {}
        for line in text.splitlines():
            m = re.match(r"0x([0-9a-f]+)\(", line)
            if not m:
                continue
            n = {k: int(re.search(p, line)[1]) for k, p in
                 (("packets", r"(\d+)\(packets\)"), ("replay", r" replay (\d+)"), ("failed", r"failed (\d+)"))}
            seq = re.search(r"seq-hi 0x([0-9a-f]+), seq 0x([0-9a-f]+), oseq-hi 0x([0-9a-f]+), oseq 0x([0-9a-f]+)", line)
            if seq:
                hi, lo, ohi, olo = (int(x, 16) for x in seq.groups())
                n["seq"], n["oseq"] = hi << 32 | lo, ohi << 32 | olo
            out[int(m[1], 16)] = n
        return out

    def audit(self, cells):
        """The packets went through the SAs that were meant, and nothing else happened."""
        states = self.states()
        for c in cells:
            first = NEAR if c.esn else 0
            for (spi_in, spi_out, sent, received), numbers in zip(c.counts(), c.numbers(self.engine)):
                i, o = states[spi_in], states[spi_out]
                damaged = c.damaged if spi_in == c.spi_in else 0
                if i["packets"] not in sent or (i["failed"], i["replay"]) != (damaged, 0):
                    c.fail("the guest's inbound state counts", i, "of", sent, "and", damaged, "damaged")
                if (o["packets"], o["failed"]) != (received, 0):
                    c.fail("the guest's outbound state counts", o, "of", received)
                if numbers is None:
                    continue
                if numbers[0] != first + c.sent + len(c.skipped) or (c.window and numbers[1] != first + c.received):
                    c.fail("sequence numbers of the engine:", numbers)
                if c.esn and (i.get("seq"), o.get("oseq")) != numbers:
                    c.fail("sequence numbers of the guest:", i, o, "of the engine:", numbers)
        changes, damaged = self.stat_changes(), sum(c.damaged for c in cells)
        if changes != ({"XfrmInStateProtoError": damaged} if damaged else {}):
            cells[0].fail("the guest's counters:", changes, "of", damaged, "damaged packets")


def esp_in_udp(p, at):
    """Where the SPI is, from the UDP header on; nowhere, if there is none."""
    ports = {int.from_bytes(p[at + n:at + n + 2], "big") for n in (0, 2)}
    first = 16 if 500 in ports else 8
    return (first, first + 4) if ports & {500, 4500} and any(p[at + first:at + first + 4]) else (0, 0)


def cost(wire):
    return min(WINDOW, 1 + len(wire) // PART)


def fits(question, cell, wire):
    """The packet has the length that the question says."""
    limit, too_long = question.limit(cell)
    return (len(wire) > limit) == too_long


def damage(wire, at):
    b = bytearray(wire)
    b[at] ^= 0x40
    return bytes(b)
