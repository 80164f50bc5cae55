"""llama-cpp-python by itself, in a process that does as it is told: what a service is compared with.

Run by `benchmarks.first_token`, which says in lines of JSON what to do. The engine is imported before the first line
is read. ``{"load": ...}`` loads a model; ``{"ask": ...}`` streams a completion of a prompt, evaluated from an empty
cache. Both are answered with the time that they took.
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
    """Time to the first piece of a streamed completion, the package's own way to stream. The rest is not timed."""
    llama.reset()  # It would go on where the last prompt was the same.
    begun = time.perf_counter()
    pieces = llama.create_completion(prompt, max_tokens=answer_tokens, temperature=0.0, stream=True)
    first = next(pieces)
    first_ms = (time.perf_counter() - begun) * 1000
    for _ in pieces:
        continue
    prompt_tokens = len(llama.tokenize(prompt.encode(), add_bos=True, special=True))
    return {"first_ms": first_ms, "text": first["choices"][0]["text"], "prompt_tokens": prompt_tokens}


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
