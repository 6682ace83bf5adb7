"""Protocols, modes, families, algorithms, extended numbers, sizes and bundles through two daemons: a
covering array, in which every value of a factor meets every value of every other one in some row.
The whole product goes through two engines (tests/prop/prop_bundles.c)."""
import itertools

import netlab

HOST = {4: ("10.1.1.1", "20.1.1.1"), 6: ("fd10::1", "fd20::1")}
FACTORS = {
    "shape": [(None, 4), (None, 6), (4, 4), (6, 6), (6, 4), (4, 6)],  # tunnel in, inner family
    "bundle": ["esp", "ah", "esp ah", "ah esp", "ipcomp esp", "ipcomp ah", "ipcomp esp ah", "esp esp", "ah ah"],
    "cipher": [("aes-gcm-16", 20, None, 0), ("aes-gcm-16", 36, None, 0), ("chacha20-poly1305", 36, None, 0),
               ("aes-ccm-8", 19, None, 0), ("aes-gmac", 20, None, 0), ("aes-cbc", 16, "hmac-sha256", 32),
               ("aes-cbc", 32, "hmac-sha512", 64), ("aes-ctr", 20, "hmac-sha1", 20), ("camellia-cbc", 24, "aes-cmac", 16),
               ("null", 0, "hmac-sha384", 48)],
    "mac": [("hmac-sha1", 20), ("hmac-sha256", 32), ("hmac-sha384", 48), ("hmac-sha512", 64), ("aes-xcbc-mac", 16),
            ("aes-cmac", 16), ("aes-128-gmac", 20), ("aes-256-gmac", 36)],
    "esn": [False, True],
    "size": [0, 1, 87, 1400, 9000],
}
NAMES = list(FACTORS)


def pairs(row):
    return {((a, row[a]), (b, row[b])) for a, b in itertools.combinations(NAMES, 2)}


def covering():
    """Rows until every pair of values is in one: each time the row with the most of what is left."""
    left = {((a, i), (b, k)) for a, b in itertools.combinations(NAMES, 2)
            for i in range(len(FACTORS[a])) for k in range(len(FACTORS[b]))}
    rows = []
    while left:
        (a, i), (b, k) = min(left)
        row = {a: i, b: k}
        for name in NAMES:
            if name not in row:
                row[name] = max(range(len(FACTORS[name])), key=lambda v: (sum(
                    (p in left) for p in pairs_with(row, name, v)), -v))
        left -= pairs(row)
        rows.append(row)
    return rows


def pairs_with(row, name, value):
    for other, v in row.items():
        yield tuple(sorted([(name, value), (other, v)], key=lambda x: NAMES.index(x[0])))


def hexkey(n, seed):
    return " 0x" + bytes((seed + 5 * i + 1) & 0xff for i in range(n)).hex() if n else ""


def statements(row, here):
    value = {name: FACTORS[name][i] for name, i in row.items()}
    tunnel, inner = value["shape"]
    ends = HOST[tunnel or inner]
    protos, sas, requests = value["bundle"].split(), "", [[], []]
    for i, proto in enumerate(protos):
        # The innermost one is the tunnel.
        mode = "tunnel" if tunnel and i == 0 else "transport"
        cipher, bits, mac, mac_bits = value["cipher"]
        algs = {"ipcomp": lambda s: "-C deflate",
                "ah": lambda s: f"-A {value['mac'][0]}{hexkey(value['mac'][1], s)}",
                "esp": lambda s: f"-E {cipher}{hexkey(bits, s)}" + (f" -A {mac}{hexkey(mac_bits, s + 1)}" if mac else "")}
        for side in (0, 1):
            src, dst = ends[side], ends[1 - side]
            options = "" if proto == "ipcomp" else f" -r 8{' -esn' * value['esn']}"
            spi = 0x1000 + 2 * i + side
            sas += f"add {src} {dst} {proto} {spi} -m {mode} -u {i + 1}{options} {algs[proto](spi)};\n"
            requests[side].append(f"{proto}/{mode}/{f'{src}-{dst}' if mode == 'tunnel' else ''}/unique:{i + 1}")
    a, b = HOST[inner]
    policies = "".join(f"spdadd {(a, b)[side]} {(b, a)[side]} any -P {'out' if side == here else 'in'} ipsec "
                       f"{' '.join(requests[side])};\n" for side in (0, 1))
    return "flush;\nspdflush;\n" + sas + policies


def test_rows_cover_all_pairs():
    rows = covering()
    have = set().union(*(pairs(r) for r in rows))
    want = sum(len(FACTORS[a]) * len(FACTORS[b]) for a, b in itertools.combinations(NAMES, 2))
    assert len(have) == want
    assert len(rows) <= 150


def test_every_pair_of_values(lab):
    w, a, b = netlab.two_hosts(lab)
    for h in (a, b):
        h.start()
        # A probe of one row would come to the SAs of the next, as a drop.
        h.run(netlab.TESTUDO, "sysctl", "-w", "net.inet.ipsec.pmtu_probe=0")
    ran = 0
    for row in covering():
        value = {name: FACTORS[name][i] for name, i in row.items()}
        texts = [statements(row, here) for here in (0, 1)]
        for h, text in zip((a, b), texts):
            h.setkey(text)
        A, B = HOST[value["shape"][1]]
        for h, other in ((a, B), (b, A)):
            if h.ping(other, 1, size=value["size"]) != 1:
                # The first large packet may have told its sender the size only.
                assert value["size"] > 1300 and h.ping(other, 2, size=value["size"]) >= 1, (value, texts[0])
        ran += 1
    assert not netlab.all_drops(a, b)
    assert ran == len(covering())
