# SPDX-License-Identifier: BSD-3-Clause
"""heap.py MIB: fills its memory with what Python programs hold, made of the words of the files
whose names come on standard input; says "ready" and stays until the input ends."""
import ast
import json
import random
import sys


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


def records(words, rng):
    return json.loads(json.dumps([
        {"id": rng.randrange(10**9), "name": word, "tags": words[i % 50:i % 50 + 3],
         "score": rng.gauss(0, 1)} for i, word in enumerate(words[:800])]))


def fill(names, target_bytes):
    rng = random.Random(1)
    kept = []
    turn = 0
    while resident_bytes() < target_bytes:
        name = names[turn % len(names)]
        with open(name, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 18)
        words = text.split()
        kind = turn % 5
        turn += 1
        if kind == 0 and name.endswith(".py"):
            try:
                kept.append((ast.parse(text), compile(text, name, "exec")))
            except (SyntaxError, ValueError):
                pass
        elif kind <= 1:
            kept.append(words)
        elif kind == 2:
            kept.append({word: (i, rng.random(), [rng.randrange(1 << 40)])
                         for i, word in enumerate(words)})
        elif kind == 3:
            kept.append(records(words, rng))
        else:
            kept.append((text, [rng.random() for _ in range(500)], set(text.splitlines())))
        if turn % 7 == 0 and len(kept) > 10:
            kept.pop(rng.randrange(len(kept)))  # leaves holes, as a life does
    return kept


paths = []
for line in sys.stdin:
    if line == "\n":
        break
    paths.append(line.rstrip("\n"))
everything = fill(paths, int(sys.argv[1]) << 20)
print("ready", flush=True)
sys.stdin.read()
