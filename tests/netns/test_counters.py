"""testudo netstat and testudo drops, of the real daemon."""
import json
import re

import keys
import netlab

A, B = "10.1.1.1", "20.1.1.1"
HEADINGS = ["(Fast) IPsec:", "IPsec ah:", "IPsec esp:", "IPsec ipip:", "IPsec ipcomp:", "pfkey:"]


def netstat(host, *options):
    return host.run(netlab.TESTUDO, "netstat", *options)


def value(host, group, name):
    groups = json.loads(netstat(host, "-s", "--json"))["groups"]
    counters = next(g["counters"] for g in groups if g["group"] == group)
    return next(c["count"] for c in counters if c["name"] == name)


def test_netstat(lab):
    """What is printed is what was on the wire, with the words of netstat."""
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    b.start()
    sas, pa, pb = keys.transport(A, B)
    a.setkey(sas + pa)
    b.setkey(sas + pb)
    assert a.ping(B, 3) == 3
    text = netstat(a, "-s")
    assert [line for line in text.splitlines() if re.match(r"\S", line)] == HEADINGS
    assert "\t3 esp input packets processed\n" in text and "\t3 esp output packets processed\n" in text
    assert "\t\tesp packets with aes-gcm-16: 6\n" in text
    assert "\t0 ah input packets processed\n" in text
    # Twice, as -ss or -s -s: no line whose number is 0.
    brief = netstat(a, "-ss")
    assert brief == netstat(a, "-s", "-s")
    assert not re.search(r"^\t0 ", brief, re.M) and "\t3 esp output packets processed\n" in brief
    assert "x_spdadd: 2" in netstat(a, "-s", "-p", "pfkey")
    assert netstat(a, "-sp", "esp").startswith("IPsec esp:\n")
    assert "\t3 outbound packets processed successfully\n" in netstat(a, "-s", "-p", "kame")
    assert value(a, "kame", "in_espauthsucc") == 3
    # An SA that is gone has been used all the same.
    a.setkey("flush;\n")
    assert "\t\tesp packets with aes-gcm-16: 6\n" in netstat(a, "-ss")
    wrong = a.popen(netlab.TESTUDO, "netstat", "-s", "-p", "tcp")
    assert wrong.wait() == 1
    wrong = a.popen(netlab.TESTUDO, "netstat", "-x")
    assert wrong.wait() == 2


def test_drops(lab):
    """Whose keys are wrong, and which policy has no SA, is said with the remedy."""
    w, a, b = netlab.two_hosts(lab, six=False)
    a.start()
    b.start()
    sas, pa, pb = keys.transport(A, B)
    a.setkey(sas + pa)
    b.setkey(sas.replace(keys.GCM_AB, "0x" + "99" * 20) + pb)
    assert a.run(netlab.TESTUDO, "drops") == ""
    assert a.ping(B, 2) == 0
    netlab.wait_for("the drops", lambda: b.drops("in-icv-mismatch") == 2)
    text = b.run(netlab.TESTUDO, "drops")
    assert text.startswith(f"SA {A} {B} esp 0x00001000: 2 dropped\n"), text
    assert "2 in-icv-mismatch: the integrity check value is wrong\n" in text
    assert "remedy: keys or algorithms differ" in text
    assert re.search(rf"last: {A} -> {B} protocol 50 spi 0x00001000 seq 2, \d+ s ago", text), text
    assert value(b, "esp", "BADAUTH") == 2 and value(b, "kame", "in_espauthfail") == 2
    a.setkey("flush;\n")
    assert a.ping(B, 1) == 0
    answer = json.loads(a.run(netlab.TESTUDO, "drops", "sp", "--json"))
    assert "sas" not in answer and answer["unattributed"] == 0
    policy, = answer["policies"]
    assert (policy["dir"], policy["src"], policy["drops"]) == ("out", f"{A}/32[any]", 1)
    assert policy["reasons"][0]["name"] == "out-no-sa" and policy["reasons"][0]["remedy"]
    assert value(a, "ipsec", "OUT_NOSA") == 1
    # What is deleted is not shown any more.
    b.setkey("flush;\n")
    netlab.wait_for("oblivion", lambda: b.run(netlab.TESTUDO, "drops", "sa") == "")
