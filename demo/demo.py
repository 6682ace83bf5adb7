"""The demo of testudo: programs that know nothing of IPsec talk through ESP."""
import json
import os
import sys
import textwrap
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/netns"))
import forge  # noqa: E402
import netlab  # noqa: E402

COLOUR = sys.stdout.isatty()
failures = []


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def title(text):
    print("\n" + paint("1", text) + "\n" + paint("1", "=" * len(text)))


def say(text):
    print(textwrap.fill(text, 96))


def show(text, indent="    "):
    print(textwrap.indent(text.rstrip(), indent))


def check(what, good):
    print(f"  {paint('32', 'ok  ') if good else paint('31', 'FAIL')}  {what}")
    if not good:
        failures.append(what)


def setkey(host, who, text):
    print(f"\n{who}# setkey -c")
    show(text)
    print()
    host.setkey(text)


def iperf(client, server, address, seconds=3):
    """Gbit/s of one TCP stream."""
    s = server.popen("iperf3", "-s", "-1", "-p", "5201")
    netlab.wait_for("iperf3 listens", lambda: "5201" in server.run("ss", "-ltn"))
    out = client.run("iperf3", "-c", address, "-p", "5201", "-t", seconds, "-J", check=False,
                     timeout=seconds + 30)
    s.wait(timeout=10)
    end = json.loads(out).get("end", {})
    return end.get("sum_received", {}).get("bits_per_second", 0) / 1e9


class Inside(netlab.Capture):
    """What passes the TUN of a host: the clear side."""

    def __enter__(self):
        self.proc = self.wire.host.popen(
            "/usr/bin/python3", os.path.join(netlab.HERE, "capture.py"), "testudo0", self.path,
            stdout=-1)
        assert self.proc.stdout.readline().strip() == b"listening"
        return self

    def packets(self):
        for raw in self.frames():
            yield netlab.Packet(b"\0" * 12 + (b"\x08\0" if raw[0] >> 4 == 4 else b"\x86\xdd") + raw)


class HostAsWire:
    def __init__(self, host):
        self.host, self.lab, self.name = host, host.lab, host.name


def hexdump(data, rows=3):
    out = []
    for i in range(0, min(len(data), 16 * rows), 16):
        row = data[i:i + 16]
        out.append(f"{row.hex(' ', 4):<36} {''.join(chr(c) if 32 <= c < 127 else '.' for c in row)}")
    return out


def side_by_side(inside, wire):
    for n, (i, w) in enumerate(zip(inside, wire), 1):
        print(f"  packet {n}")
        left = [f"inside: {i.src} > {i.dst}, ICMP echo, {len(i.ip)} bytes"] + hexdump(i.payload[8:])
        right = [f"wire: {w.src} > {w.dst}, ESP, {len(w.ip)} bytes",] + hexdump(w.payload)
        for a, b in zip(left, right):
            print(f"    {a:<58}| {b}")


def counters(host, who, names):
    print(f"\n{who}# testudo stats    (excerpt)")
    stats = host.stats()
    for c in stats["counters"]:
        if c["name"] in names:
            print(f"    {c['count']:>12}  {c['name']}")
    for d in stats["drops"]:
        if d["count"]:
            print(f"    {d['count']:>12}  dropped: {d['name']} ({d['text']})")


SHOWN = ("out-protected", "in-delivered", "esp-out", "esp-in", "out-passed-clear")


def two_hosts():
    title("1. Host to host")
    say("Two hosts on one wire, 10.1.1.1 and 20.1.1.1. The programs are ping and TCP, unmodified; "
        "the kernel needs no IPsec. First the link as it is, without protection:")
    lab = netlab.Lab()
    try:
        w, a, b = netlab.two_hosts(lab)
        bare = iperf(a, b, "20.1.1.1")
        print(f"\n    TCP without IPsec: {bare:.2f} Gbit/s\n")
        say("Now a testudod on each, and the host-to-host example of the NetBSD IPsec FAQ with "
            "AES-GCM keys. require in both directions: nothing goes or comes in clear.")
        a.start()
        b.start()
        sas = ("add 10.1.1.1 20.1.1.1 esp 9876 -r 32 -E aes-gcm-16\n"
               f"    0x{os.urandom(20).hex()};\n"
               "add 20.1.1.1 10.1.1.1 esp 10000 -r 32 -E aes-gcm-16\n"
               f"    0x{os.urandom(20).hex()};\n")
        out = "spdadd {} {} any -P out ipsec esp/transport//require;\n"
        into = "spdadd {} {} any -P in  ipsec esp/transport//require;\n"
        A, B = "10.1.1.1", "20.1.1.1"
        setkey(a, "a", sas + out.format(A, B) + into.format(B, A))
        b.setkey(sas + out.format(B, A) + into.format(A, B))
        say("(and on b the same with the addresses of the spdadd lines swapped)")
        print()
        with w.capture() as wire, Inside(HostAsWire(a)) as inside:
            check("ping: 3 of 3 replies", a.ping(B, 3, data=b"hoge" * 14) == 3)
        i = [p for p in inside.between([A, B]) if p.src == A]
        e = [p for p in wire.esp([A, B]) if p.src == A]
        check("on the wire there is ESP and nothing else", bool(e) and not wire.clear([A, B]))
        print("\n  What ping sent, inside and as a third person sees it on the wire:")
        side_by_side(i[:3], e[:3])
        print()
        start = time.monotonic()
        netlab.tcp(a, b, B, size=100_000_000, timeout=60)
        check(f"100 MB by TCP in {time.monotonic() - start:.1f} s", True)
        esp = iperf(a, b, B)
        check(f"TCP with IPsec: {esp:.2f} Gbit/s, {100 * esp / max(bare, 0.01):.0f} % of the bare link",
              esp > 0)
        counters(b, "b", SHOWN)
        print()
        say("Somebody on the wire forges a packet in clear that claims to come from a:")
        m = lab.host("m")
        w.plug(m)
        before = b.drops("in-clear-but-required")
        forge.send_ip(w, b, m, forge.echo_request_packet(A, B))
        netlab.wait_for("the forged packet is dropped",
                        lambda: b.drops("in-clear-but-required") > before)
        d = next(d for d in b.stats()["drops"] if d["name"] == "in-clear-but-required")
        check(f"dropped as {d['name']}: {d['text']}", True)
        print(f"        remedy: {d['remedy']}")
    finally:
        lab.close()


def two_gateways():
    title("2. A VPN: two gateways, two networks")
    say("The FAQ's VPN: 10.0.1.0/24 behind gateway 20.0.0.1, 10.0.2.0/24 behind 20.0.0.2. testudod "
        "runs on the gateways only; the hosts behind them know nothing.")
    lab = netlab.Lab()
    try:
        w, (g1, g2), (h1, h2) = netlab.two_gateways(lab)
        bare = iperf(h1, h2, "10.0.2.5")
        g1.start()
        g2.start()
        sas = ("add 20.0.0.1 20.0.0.2 esp 13245 -r 32 -E aes-gcm-16\n"
               f"    0x{os.urandom(20).hex()};\n"
               "add 20.0.0.2 20.0.0.1 esp 13246 -r 32 -E aes-gcm-16\n"
               f"    0x{os.urandom(20).hex()};\n")
        p = ("spdadd 10.0.1.0/24 10.0.2.0/24 any -P {} ipsec esp/tunnel/20.0.0.1-20.0.0.2/require;\n"
             "spdadd 10.0.2.0/24 10.0.1.0/24 any -P {} ipsec esp/tunnel/20.0.0.2-20.0.0.1/require;\n")
        setkey(g1, "gateway1", sas + p.format("out", "in"))
        g2.setkey(sas + p.format("in", "out"))
        say("(and on gateway 2 the same with out and in swapped)")
        print()
        with w.capture() as wire, Inside(HostAsWire(g1)) as inside:
            check("ping from 10.0.1.5 to 10.0.2.5: 3 of 3 replies",
                  h1.ping("10.0.2.5", 3, data=b"tokyo" * 12) == 3)
        i = [p for p in inside.between(["10.0.0.0/16"]) if p.src == "10.0.1.5"]
        e = [p for p in wire.esp(["20.0.0.0/24"]) if p.src == "20.0.0.1"]
        check("between the gateways there is ESP and nothing else",
              bool(e) and not wire.clear(["20.0.0.0/24", "10.0.0.0/16"]))
        side_by_side(i[:3], e[:3])
        print()
        start = time.monotonic()
        netlab.tcp(h1, h2, "10.0.2.5", size=100_000_000, timeout=60)
        check(f"100 MB by TCP in {time.monotonic() - start:.1f} s", True)
        esp = iperf(h1, h2, "10.0.2.5")
        check(f"TCP through the VPN: {esp:.2f} Gbit/s; the same path without IPsec: {bare:.2f} Gbit/s",
              esp > 0)
        counters(g2, "gateway2", SHOWN)
    finally:
        lab.close()


if __name__ == "__main__":
    began = time.monotonic()
    print(paint("1", "testudo: IPsec on any Linux, also where the kernel has none"))
    for scene in (two_hosts, two_gateways):
        try:
            scene()
        except Exception as e:
            check(f"{scene.__name__}: {e}", False)
    print(f"\n{time.monotonic() - began:.0f} seconds. ", end="")
    if failures:
        print(paint("31", f"{len(failures)} thing(s) went wrong:"))
        for f in failures:
            print(f"  {f}")
        sys.exit(1)
    print(paint("32", "All of it worked."))
