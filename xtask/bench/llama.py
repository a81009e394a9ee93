"""llama.cpp natively, as examples/speed.rs has it: `llama.py MODEL TOKENS`."""

import statistics
import sys
import time

from llama_cpp import Llama

ROUNDS, WRITTEN = 7, 32
path, n = sys.argv[1], int(sys.argv[2])
model = Llama(path, n_ctx=2048, n_batch=512, n_threads=1, n_threads_batch=1, verbose=False)
tokens = [(i * 7919 + 13) % model.n_vocab() for i in range(n)]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read():
    model.reset()
    model.eval(tokens)


def write():
    for token in tokens[:WRITTEN]:
        model.eval([token])


rates = {f"prefill {n}": [], f"decode 1 × {WRITTEN}": []}
for _ in range(ROUNDS):
    rates[f"prefill {n}"].append(n / timed(read))
    model.reset()
    model.eval(tokens[:16])
    rates[f"decode 1 × {WRITTEN}"].append(WRITTEN / timed(write))
for task, seen in rates.items():
    print(f"  {task}: llama.cpp {statistics.median(seen):.1f}")
