"""Sizes: what stands behind the IP header has 0 and 1 bytes, lies around every edge of blocks, just
fits into MTUs, does not quite, and fills the largest packet that there is.  The guest's echo of a
protocol for experiments sends back the same bytes, so that both directions have the same sizes."""
import packets as pk
from packet_sizes import BIG, EDGES, LARGEST, MTUS, NOISE, REPEATED

ECHO, EMPTY = 253, 254  # guest_echo.c
LINK = LARGEST  # of the virtual link here
# What the scratch memory of Linux's IPComp has room for (IPCOMP_SCRATCH_SIZE).
LINUX_IPCOMP = 65400


def rooms(engine, plain):
    """The largest packet like this one that fits when it is protected, for each MTU."""
    return {mtu: int(engine.say("mtu", plain.hex(), mtu)[1]) for mtu in (*MTUS, LINK)}


class Exact(pk.Question):
    """So many bytes that nobody can compress, other ones in each cell; or some that everybody can."""

    def __init__(self, n, repeated=False):
        self.n, self.repeated = n, repeated

    def __str__(self):
        return f"{self.n} bytes"

    def size(self, cell):
        return self.n

    def fits(self, cell):
        return self.size(cell) > 0 or not cell.takes_no_empty_esp

    def limit(self, cell):
        return LINK, False

    def content(self, cell):
        n = self.size(cell)
        return REPEATED[:n] if self.repeated else NOISE[cell.n % 997:][:n]

    def request(self, cell, seq):
        return pk.ip(cell.us, cell.guest, ECHO, self.content(cell))

    def answered_by(self, a, cell, seq):
        return a.proto == ECHO and a.data == self.content(cell)


class MostCompressed(Exact):
    """As much as Linux takes when it comes compressed: the innermost header of the cell is IPComp."""

    def __init__(self):
        super().__init__(LINUX_IPCOMP, True)

    def size(self, cell):
        # Of what does not fit into the link uncompressed Linux sends fragments.
        most = LINUX_IPCOMP if len(cell.layers) == 1 else cell.most
        return most - (pk.HEADER[cell.inner] if cell.layers[0].tunnel else 0)


class Empty(pk.Question):
    """One byte, of which comes back nothing."""

    def __str__(self):
        return "empty answer"

    def limit(self, cell):
        return LINK, False

    def request(self, cell, seq):
        return pk.ip(cell.us, cell.guest, EMPTY, b"x")

    def answered_by(self, a, cell, seq):
        return a.proto == EMPTY and not a.data


class Around(Exact):
    """As many bytes more or less than fit into an MTU when they are protected."""

    def __init__(self, mtu, more):
        super().__init__(0)
        self.mtu, self.more = mtu, more

    def __str__(self):
        return f"MTU {self.mtu}{self.more:+}"

    def size(self, cell):
        return cell.room(self.mtu) - pk.HEADER[cell.inner] + self.more

    def fits(self, cell):
        # Many layers may leave no room at all.
        return self.size(cell) > 0 and super().fits(cell)

    def limit(self, cell):
        # Headers of layers inside get smaller.
        return (LINK, False) if self.more > 0 and cell.compresses else (self.mtu, self.more > 0)


class Most(Around):
    """The largest packet of all."""

    def __init__(self):
        super().__init__(LINK, 0)

    def size(self, cell):
        return min(super().size(cell), cell.most - pk.HEADER[cell.inner])

    def limit(self, cell):
        return LINK, False


def every(compressible=False, huge=True):
    # What can be compressed comes first: who fails to compress does not try for a while.
    out = [Exact(n, True) for n in (*EDGES, BIG)] + [MostCompressed()] * huge if compressible else []
    out += [Empty()] + [Exact(n) for n in EDGES]
    out += [Around(mtu, more) for mtu in MTUS for more in (-1, 0, 1)]
    return out + [Exact(BIG)] + [Most()] * huge
