"""Sizes that are asked of every peer: of what stands behind the IP header."""
import random

# Every remainder of every block behind every header; around 90 bytes IPComp begins.
EDGES = [*range(18), 30, 31, 32, 33, 63, 64, 65, 89, 90, 91, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025]
# One byte less than fits when it is protected, exactly that, and one more.
MTUS = (576, 1280, 1500)
BIG = 8192
LARGEST = 65535  # an IPv4 packet can have
NOISE = random.Random(64).randbytes(LARGEST + 1000)  # nobody compresses it
REPEATED = bytes(i // 5 % 7 for i in range(LARGEST))  # everybody does


def text():
    """EDGES for a reader."""
    runs = []
    for n in EDGES:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}–{b}" if b > a + 1 else f"{a}, {b}" if b > a else str(a) for a, b in runs)
