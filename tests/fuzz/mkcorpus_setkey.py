#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Writes the seeds of the target "setkey" to corpus/setkey: python3 tests/fuzz/mkcorpus_setkey.py
# Each case of the golden files is a seed; of those about algorithms a few are enough.
from pathlib import Path

HERE = Path(__file__).parent
FILES = {"faq": None, "sa": None, "sp": None, "misc": None, "opt": None, "alg": 3,
         "bad_sa": None, "bad_sp": None, "bad_text": None, "bad_opt": None, "bad_alg": 5}


def main():
    out = HERE / "corpus" / "setkey"
    out.mkdir(parents=True, exist_ok=True)
    for name, most in FILES.items():
        cases = (HERE.parent / "golden" / (name + ".in")).read_bytes().split(b"%%\n")
        for i, case in enumerate(cases[:most], 1):
            (out / ("%s-%02d" % (name, i))).write_bytes(case)


main()
