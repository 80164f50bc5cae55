"""llama-cpp-python by itself, in a process that does as it is told: what a service is compared with.

Run by `benchmarks.first_token`, which says in lines of JSON what to do. The engine is imported before the first line
is read. ``{"load": ...}`` loads a model; ``{"ask": ...}`` evaluates a prompt from an empty cache and then goes on to
an answer of as many tokens as are asked for. Both are answered with the time that they took.
"""

import json
import sys
import time
from typing import Any

from llama_cpp import Llama


def load(path: str, threads: int, context_tokens: int) -> Any:
    """A model as the package loads it, with the threads and the context of a service's."""
    return Llama(path, n_threads=threads, n_threads_batch=threads, n_ctx=context_tokens, verbose=False)


def ask(llama: Any, prompt: str, answer_tokens: int) -> dict[str, Any]:
    """Time to the first token's text: tokenise, evaluate, choose the likeliest, spell it. The rest is not timed."""
    begun = time.perf_counter()
    tokens = llama.tokenize(prompt.encode(), add_bos=True, special=True)
    llama.reset()
    llama.eval(tokens)
    token = llama.sample(temp=0.0)
    text = llama.detokenize([token]).decode("utf-8", "replace")
    first_ms = (time.perf_counter() - begun) * 1000
    for _ in range(answer_tokens - 1):
        llama.eval([token])
        token = llama.sample(temp=0.0)
    return {"first_ms": first_ms, "text": text, "prompt_tokens": len(tokens)}


def main() -> None:
    """Obey until standard input ends."""
    llama: Any = None
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        begun = time.perf_counter()
        if "load" in order:
            llama = load(**order["load"])
            answer = {"load_ms": (time.perf_counter() - begun) * 1000}
        else:
            assert llama is not None, "nothing is loaded yet"
            answer = ask(llama, **order["ask"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
