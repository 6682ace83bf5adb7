"""Cells with any number of IPsec headers: AH, ESP and IPComp, innermost first, each in transport
mode or as a tunnel.  Our side is set up by statements of setkey, the guest's by ip(8)."""
import random
import zlib

import packets as pk
import sizes
from algorithms import MACS, Pair
from lab import MIDDLE, NEAR, GUEST, Cell, ours

NUMBER = {"esp": 50, "ah": 51, "ipcomp": 108}
LINUX = {"esp": "esp", "ah": "ah", "ipcomp": "comp"}
THRESHOLD = 90  # bytes below which nobody compresses


class Layer:
    """One header.  tunnel: None for transport mode, else 4 or 6, the family of the outer header.
    pair: cipher and MAC of ESP; of AH the MAC alone.  flags: more words for the guest's states."""

    def __init__(self, proto, tunnel=None, pair=None, flags="", options=""):
        self.proto, self.tunnel, self.pair, self.flags, self.options = proto, tunnel, pair, flags, options

    @property
    def integrity(self):
        return self.proto == "ah" or (self.proto == "esp" and self.pair.integrity)

    @property
    def mode(self):
        return "tunnel" if self.tunnel else "transport"

    def __str__(self):
        what = {"esp": lambda: f"ESP {self.pair}", "ah": lambda: f"AH {self.pair.mac}",
                "ipcomp": lambda: "IPComp"}[self.proto]()
        return what + (f" tunnel in IPv{self.tunnel}" if self.tunnel else "")

    def our_words(self, key, mac_key):
        if self.proto == "ipcomp":
            return "-C deflate -R"
        words = f"-E {self.pair.cipher} {'0x' + key.hex() if key else ''}" if self.proto == "esp" else ""
        return words + (f" -A {self.pair.mac} 0x{mac_key.hex()}" if self.pair.mac else "")

    def guest_words(self, key, mac_key):
        if self.proto == "ipcomp":
            return "comp deflate"
        if self.proto == "esp":
            return self.pair.guest_words(key, mac_key)
        name, icv = MACS[self.pair.mac]
        return f"auth-trunc '{name}' 0x{mac_key.hex()} {icv}"


def mac(name, bits):
    return Pair(None, 0, name, bits)


class Stack:
    """As lab.Cell, of which Lab knows no more than what is here."""

    # Of several headers, and of AH: not exactly the largest (tests/prop/prop_bundles.c).
    most = sizes.LINK - 1000

    def __init__(self, layers, inner=4, esn=False, window=64):
        self.layers, self.inner = layers, inner
        self.integrity = layers[-1].integrity
        self.esn = esn and any(x.integrity for x in layers)
        self.window = window if any(x.integrity for x in layers) else 0
        self.compresses = any(x.proto == "ipcomp" for x in layers)
        self.bad = []
        self.skipped = set()
        self.sent = self.damaged = self.received = self.compressed = self.unclear = 0

    def __str__(self):
        return f"IPv{self.inner} in {' in '.join(map(str, self.layers))}{', ESN' if self.esn else ''}"

    @property
    def takes_no_empty_esp(self):
        """As of lab.Cell: in the innermost header; the ones around it have something inside.
        Nobody compresses nothing."""
        inside = next((x for x in self.layers if x.proto != "ipcomp" or x.tunnel), self.layers[0])
        return inside.proto == "esp" and not inside.tunnel

    def room(self, mtu):
        return self.rooms[mtu]

    word, front = "in", 0
    damage = staticmethod(Cell.damage)

    def wire_ok(self, wire, ours):
        return True

    def is_lost(self, wire):
        return False

    def fail(self, *words):
        self.bad.append(" ".join(map(str, words)))

    def place(self, n):
        self.n = n
        tunnels = [i for i, x in enumerate(self.layers) if x.tunnel]
        level = "in" if tunnels else "out"
        self.us, self.guest = ours(level, self.inner, n), GUEST[level][self.inner]
        ends = (self.us, self.guest)
        self.ends, self.spis, self.keys = [], [], []
        r = random.Random(n)
        for i, x in enumerate(self.layers):
            if x.tunnel:
                level = "out" if i == tunnels[-1] else "mid"
                ends = (ours(level, x.tunnel, n), GUEST[level][x.tunnel])
            self.ends.append(ends)
            # As the guest sees them: in, out.  A CPI has 16 bits and is below 61440.
            base = 0x1000 + 0x4000 * (i % 3) + 2 * n % 0x4000 if x.proto == "ipcomp" else (i + 1 << 20) + 2 * n
            self.spis.append((base, base + 1))
            bits = (x.pair.bits, x.pair.mac_bits) if x.pair else (0, 0)
            self.keys.append([tuple(r.randbytes(b // 8) for b in bits) for _ in range(2)])
        self.outer_us, self.outer_guest = ends
        self.spi_in, self.spi_out = self.spis[-1]

    @property
    def optional(self):
        """It may come without any IPsec header."""
        return self.layers[-1].proto == "ipcomp"

    # ---- our side

    def _sas(self, engine, inbound, start):
        for i, (x, ends, spis, keys) in enumerate(zip(self.layers, self.ends, self.spis, self.keys)):
            numbered, ends = x.integrity, ends[::-1] if inbound else ends
            words = f"add {' '.join(ends)} {x.proto} {spis[inbound]} -m {x.mode} -u {i + 1}"
            if x.proto != "ipcomp":
                words += f" -r {self.window // 8 if numbered else 0}{' -esn' * (self.esn and numbered)}"
            if self.esn and numbered:
                engine.ok("start", start)
            engine.ok("setkey", f"{words} {x.options} {x.our_words(*keys[inbound])};")

    def _policy(self, engine, direction, swap):
        requests, protos = [], [x.proto for x in self.layers]
        for i, (x, ends) in enumerate(zip(self.layers, self.ends)):
            a, b = ends[::-1] if swap else ends
            # Of two SAs that would do, a number names the one.
            level = f"unique:{i + 1}" if protos.count(x.proto) > 1 else "require"
            requests.append(f"{x.proto}/{x.mode}/{f'{a}-{b}' if x.tunnel else ''}/{level}")
        a, b = (self.guest, self.us) if swap else (self.us, self.guest)
        engine.ok("setkey", f"spdadd {a} {b} any -P {direction} ipsec {' '.join(requests)};")

    def prepare_engine(self, engine):
        engine.ok("local", self.us, *(us for us, _ in self.ends))
        self._sas(engine, False, NEAR)
        self._sas(engine, True, 0)
        self._policy(engine, "out", False)
        self._policy(engine, "in", True)
        self.rooms = sizes.rooms(engine, pk.Ping(b"").request(self, 0))

    def prepare_twin(self, engine):
        self._sas(engine, True, MIDDLE)
        self._policy(engine, "out", True)

    def numbers(self, engine):
        """[(sent, received) by the engine, of each layer; None where nothing is numbered]"""
        out = []
        for x, (us, guest), (spi_in, spi_out) in zip(self.layers, self.ends, self.spis):
            kind = ["ah"] * (x.proto == "ah")
            out.append(None if not x.integrity else
                       (int(engine.say("seq", us, guest, spi_in, *kind)[1].split()[0]),
                        int(engine.say("seq", guest, us, spi_out, *kind)[1].split()[1])))
        return out

    # ---- the guest's side

    def count(self, plain):
        self.sent += 1
        first = self.layers[0]
        if first.proto == "ipcomp":
            smaller = compresses(plain if first.tunnel else plain[pk.payload(plain)[1]:])
            self.compressed += smaller is True
            self.unclear += smaller is None

    def counts(self):
        out = []
        for i, (x, (spi_in, spi_out)) in enumerate(zip(self.layers, self.spis)):
            least = most = self.sent
            # The guest counts whatever it sends, but of what comes the compressed ones; whether
            # headers of other layers get smaller is the compressor's affair.
            if x.proto == "ipcomp":
                least, most = (0, self.sent) if i else (self.compressed, self.compressed + self.unclear)
            out.append((spi_in, spi_out, range(least, most + 1), self.received))
        return out

    def guest_commands(self):
        for i, (x, ends, spis, keys) in enumerate(zip(self.layers, self.ends, self.spis, self.keys)):
            for inbound, (src, dst) in enumerate((ends, ends[::-1])):
                words = f"src {src} dst {dst} proto {LINUX[x.proto]} spi {spis[inbound]:#x} reqid {i + 1} mode {x.mode}"
                if x.integrity:
                    words += f" replay-window {self.window}{' flag esn' * self.esn}"
                # A selector of no family: of states in transport mode Linux refuses it.
                if x.tunnel:
                    words += " flag af-unspec"
                if x.integrity and self.esn:
                    words += f" replay-seq {NEAR:#x} replay-seq-hi 0 replay-oseq {NEAR:#x} replay-oseq-hi 0"
                yield f"xfrm state add {words} {x.flags} {x.guest_words(*keys[inbound])}"
        for direction, swap in (("in", False), ("out", True)):
            a, b = (self.guest, self.us) if swap else (self.us, self.guest)
            words = ""
            for i, (x, ends) in enumerate(zip(self.layers, self.ends)):
                src, dst = ends[::-1] if swap else ends
                words += f" tmpl src {src} dst {dst} proto {LINUX[x.proto]} reqid {i + 1} mode {x.mode}"
                # What comes may be uncompressed; "use" in the other direction is refused for tunnels.
                words += " level use" if x.proto == "ipcomp" and direction == "in" else ""
            yield f"xfrm policy add src {a} dst {b} dir {direction}{words}"


def compresses(payload):
    """Whether every compressor makes it smaller; None if they may disagree."""
    if len(payload) < THRESHOLD:
        return False
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    gain = len(payload) - 4 - len(z.compress(payload) + z.flush())
    return gain > 0 if abs(gain) > 8 else None


# Packets of which it is clear whether they get smaller: around the threshold in both modes (of 8
# bytes of ICMP and their data, with 20 or 40 bytes of header), much, not at all, and up to the MTU.
_random = random.Random(5).randbytes(300)
COMPRESSIBLE = [pk.Ping(bytes(n)) for n in (0, 1, 40, 61, 62, 81, 82, 300)] + \
    [pk.Ping(_random), pk.Largest(), pk.ClosedPort(b"received" * 8), pk.ClosedPort(_random), pk.Refused()]
