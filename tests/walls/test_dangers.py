"""What no source may use because it has been somebody's way in; each with the incident that showed it.

docs/design/security.md has the whole list, with what stands in its place.
"""

import ast

import pytest

from tests.checkout import ROOT
from tests.walls.sources import PRODUCT, calls, dotted, imports, modules, words

DESERIALISERS = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"),
    *("torch", "safetensors", "yaml", "ruamel", "plistlib", "xmlrpc", "xml"),
}
"""Modules that make objects of what they read, or whose readers have done so."""
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile", "breakpoint"}
RUNS_NAMES = {
    *("importlib.import_module", "importlib.__import__", "runpy.run_module", "runpy.run_path"),
    "pkgutil.resolve_name",
}
UNPACKERS = {
    *("zipfile", "tarfile", "gzip", "bz2", "lzma", "zlib", "zipimport", "py7zr", "rarfile", "zstandard", "brotli"),
}
UNPACKING_CALLS = {"shutil.unpack_archive", "shutil.make_archive"}
CONNECTORS = {
    *("urllib.request", "urllib3", "http.client", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "requests"),
    *("httpx", "aiohttp", "httpcore", "websockets", "paramiko", "webbrowser", "boto3", "huggingface_hub"),
}
"""Modules that connect to somebody."""
CONNECTING_CALLS = {
    *("socket.create_connection", "trio.open_tcp_stream", "trio.open_ssl_over_tcp_stream", "trio.open_unix_socket"),
    *("trio.socket.socket", "asyncio.open_connection"),
}
STARTERS = {"subprocess", "pty", "multiprocessing", "concurrent"}
STARTING_CALLS = {
    *("trio.run_process", "trio.lowlevel.open_process", "os.system", "os.popen", "os.fork", "os.forkpty"),
    *(f"os.{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *("os.posix_spawn", "os.posix_spawnp"),
}
FILES = {"os", "pathlib", "io", "shutil", "tempfile", "glob", "fileinput", "mmap", "builtins"}


def uses(tree: ast.Module, names: set[str]) -> set[str]:
    """Those of these modules, functions of modules (with a dot) and plain functions that a source uses."""
    imported = set(imports(tree))
    mentioned = set(dotted(tree)) | imported
    return (names & set(calls(tree))) | {
        name
        for name in names
        if any(one == name or one.startswith(f"{name}.") for one in (mentioned if "." in name else imported))
    }


def users(names: set[str], *folders: str) -> dict[str, set[str]]:
    """What modules of these folders use, by the module."""
    found = {path: uses(tree, names) for path, tree in modules(*folders)}
    return {path: used for path, used in found.items() if used}


def test_cve_2025_62164_cve_2024_50050_nothing_makes_objects_of_what_it_reads() -> None:
    """vLLM unpickled tensors of clients; ShadowMQ was one such call, copied through four servers."""
    assert users(DESERIALISERS | {"numpy.load", "numpy.fromfile"}, *PRODUCT, "tools") == {}


def test_cve_2025_62164_no_text_is_run_as_a_program() -> None:
    assert users(RUNS_TEXT, *PRODUCT, "tools") == {}


def test_xinference_5176_modules_are_imported_by_names_of_ours_only() -> None:
    """The command line's own commands, and the engine: both from tables in the same file."""
    assert users(RUNS_NAMES, *PRODUCT) == {
        "service/cli/main.py": {"importlib.import_module"},
        "runner/llama/bindings.py": {"importlib.import_module"},
    }


def test_cve_2024_45436_no_archive_is_ever_unpacked() -> None:
    assert users(UNPACKERS | UNPACKING_CALLS, *PRODUCT) == {}


def test_cve_2026_5530_cve_2025_51471_the_service_connects_to_nobody() -> None:
    """No pull, no pictures by address, no token to lose. The command line talks to the server that it is told."""
    assert users(CONNECTORS | CONNECTING_CALLS, *PRODUCT) == {"service/cli/client.py": {"httpx"}}


def test_cve_2026_42248_cve_2026_42249_nothing_is_started_but_runners() -> None:
    """Whoever starts no other program updates nothing and runs nobody's commands."""
    assert users(STARTERS | STARTING_CALLS, *PRODUCT) == {
        "service/processes.py": {"subprocess", "trio.lowlevel.open_process"}
    }
    tree = dict(modules("service"))["service/processes.py"]
    given = {word.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    assert not {"shell", "preexec_fn", "executable"} & given


def test_cve_2026_7020_http_has_no_hands_for_files() -> None:
    """Handlers know models by name; paths are the store's, and come out of a listing."""
    assert users(FILES | {"open"}, "service/http") == {}


def test_cve_2026_7020_one_place_makes_paths_of_model_files() -> None:
    joins = {"os.path.join", "pathlib.Path.joinpath", "pathlib.Path"}
    assert users(joins, "service/store", "service/http") == {
        "service/store/folder.py": {"os.path.join", "pathlib.Path"},
        "service/store/packaged.py": {"pathlib.Path"},
    }


def test_cve_2025_44779_no_model_file_is_removed_or_written() -> None:
    """A models folder is only read; what is written lies in the state folder."""
    removing = {f"os.{name}" for name in ("remove", "unlink", "rmdir", "removedirs", "rename", "replace", "truncate")}
    writing = {"shutil", "os.link", "os.symlink", "os.chmod", "os.chown", "tempfile"}
    assert users(removing | writing, "service/store", "service/http") == {}
    methods = {"unlink", "rmdir", "rename", "write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"}
    found = {path: methods & set(words(tree)) for path, tree in modules("service/store", "service/http")}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import pickle", {"pickle"}),
        ("from pickle import loads as read", {"pickle"}),
        ("import numpy as np\nnp.load('x')", {"numpy.load"}),
        ("def f():\n    import torch.serialization as t", {"torch"}),
        ("eval('1')", {"eval"}),
        ("import os\nos.system('x')", {"os.system"}),
        ("from os import system as s\ns('x')", {"os.system"}),
        ("import urllib.request", {"urllib.request"}),
        ("from urllib import request", {"urllib.request"}),
        ("import importlib as i\ni.import_module(n)", {"importlib.import_module"}),
    ],
)
def test_these_walls_see_what_they_are_to_see(source: str, names: set[str]) -> None:
    everything = DESERIALISERS | RUNS_TEXT | RUNS_NAMES | CONNECTORS | STARTING_CALLS | {"numpy.load"}
    assert uses(ast.parse(source), everything) == names


def test_the_sources_are_where_these_walls_look() -> None:
    for folder in ("service/http", "service/store", *PRODUCT):
        assert (ROOT / folder).is_dir()
