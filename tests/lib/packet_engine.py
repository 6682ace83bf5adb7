"""The engine behind tests/interop/tdo_packet: commands in, answers out."""
import os
import subprocess

PIPE = 60000  # bytes that a pipe takes without a reader


class Engine:
    def __init__(self, driver=None):
        self.p = subprocess.Popen([os.environ["TDO_PACKET"]] + ([driver] if driver else []),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, *words):
        self.p.stdin.write(" ".join(map(str, words)) + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().split(None, 1)

    def ok(self, *words):
        answer = self.say(*words)
        assert answer[0] == "ok", (words, answer)

    def packet(self, direction, packet):
        return self.answer(self.say(direction, bytes(packet).hex()))

    @staticmethod
    def answer(words):
        """("send" or "pass", packet), or ("drop", reason)"""
        word, value = words
        return (word, bytes.fromhex(value)) if word in ("send", "pass") else (word, value.strip())

    def packets(self, direction, packets):
        """As packet(), for many; the engine works while we do."""
        out, lines, size = [], [], 0
        for p in list(packets) + [None]:
            line = f"{direction} {bytes(p).hex()}\n" if p is not None else ""
            if lines and (p is None or size + len(line) > PIPE):
                self.p.stdin.write("".join(lines))
                self.p.stdin.flush()
                out += [self.answer(self.p.stdout.readline().split(None, 1)) for _ in lines]
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        return out

    def algorithms(self):
        """[(name, kind, [bits of keys])]"""
        rows = []
        for word in self.say("algs")[1].split():
            name, kind, low, high, step = word.split(":")
            low, high, step = int(low), int(high), int(step)
            rows.append((name, kind, list(range(low, high + 1, step)) if step else [low]))
        return rows

    def close(self):
        self.p.stdin.close()
        assert self.p.wait(timeout=30) == 0
        self.p.stdout.close()


KEPT = {}


def kept(driver, use):
    """An engine without SAs and policies: the same one for each driver and use, as starting one takes a while."""
    if (driver, use) not in KEPT:
        KEPT[driver, use] = Engine(driver)
    e = KEPT[driver, use]
    e.ok("flush")
    return e


def close_kept():
    while KEPT:
        KEPT.popitem()[1].close()
