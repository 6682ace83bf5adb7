#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Plays NAME.in through setkey and compares what it prints with NAME.ok.

Cases are separated by lines "%%"; a syntax error ends its case only.  Every case runs as
"setkey -nv -f FILE" and as "setkey -nv -c"; the second must print the same but for the
closing "parse failed" line, and must exit with 0.  In NAME.ok the exit status of the first
form stands before the text as "exit N".

One bad case of each file is also played with -e, which makes errors of -c exit with 1.
The number of statements that were played is printed.

usage: run.py SETKEY NAME.in [--update]
       run.py --total MIN NAME.ok ...	fails when all files together have fewer statements
"""
import difflib
import os
import re
import subprocess
import sys
import tempfile


def play(setkey, text, from_file, options="-nv"):
    env = dict(os.environ, LC_ALL="C", TZ="UTC")
    if not from_file:
        r = subprocess.run([setkey, options, "-c"], input=text, capture_output=True, env=env)
    else:
        with tempfile.NamedTemporaryFile() as f:
            f.write(text)
            f.flush()
            r = subprocess.run([setkey, options, "-f", f.name], capture_output=True, env=env)
    if r.stderr:
        raise SystemExit("on standard error: " + r.stderr.decode(errors="replace"))
    return r.returncode, r.stdout.decode("latin-1")


def case(setkey, text):
    status, out = play(setkey, text, True)
    lines = out.splitlines(True)
    if lines and lines[-1].startswith("parse failed"):
        lines.pop()
    stdin_status, stdin_out = play(setkey, text, False)
    if stdin_status != 0 or stdin_out != "".join(lines):
        raise SystemExit("-c differs from -f, exit %d:\n%s" % (stdin_status, stdin_out))
    return "exit %d\n%s" % (status, out)


def strict(setkey, cases, results):
    for good in ("exit 0\n", "exit 1\n"):
        for text, result in zip(cases, results):
            if result.startswith(good):
                status, _ = play(setkey, text, False, "-nve")
                if "exit %d\n" % status != good:
                    raise SystemExit("-e -c exits with %d, not as -f does" % status)
                break


def statements(text):
    """Each statement of a case leaves one line, its canonical text or its error."""
    return len(re.findall(r"^(?:[a-z]+\b.*;|line \d+, column \d+: (?!WARNING).*)$", text, re.M))


def total(least, names):
    n = 0
    for name in names:
        with open(name, encoding="latin-1") as f:
            n += statements(f.read())
    print("%d statements in all files" % n)
    if n < least:
        raise SystemExit("%d are wanted at least" % least)


def main():
    if sys.argv[1] == "--total":
        total(int(sys.argv[2]), sys.argv[3:])
        return
    setkey, name = sys.argv[1], sys.argv[2]
    with open(name, "rb") as f:
        cases = f.read().split(b"%%\n")
    results = [case(setkey, c) for c in cases]
    got = "%%\n".join(results)
    strict(setkey, cases, results)
    ok = name[: -len(".in")] + ".ok"
    if "--update" in sys.argv:
        with open(ok, "w", encoding="latin-1") as f:
            f.write(got)
        return
    print("%s: %d statements" % (os.path.basename(name), statements(got)))
    with open(ok, encoding="latin-1") as f:
        want = f.read()
    if got != want:
        sys.stdout.writelines(
            difflib.unified_diff(want.splitlines(True), got.splitlines(True), "expected", "printed"))
        raise SystemExit(1)


main()
