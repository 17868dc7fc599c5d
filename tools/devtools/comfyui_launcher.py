"""Runs a ComfyUI's main.py so that it never outlives the process that started it.

Usage: ``python comfyui_launcher.py [--mend-torchvision] main.py [arguments of main.py]``, with a pipe as standard
input. When the pipe ends, because it was closed or because its other side was killed, ComfyUI is interrupted, and some
seconds later ended. The file stands alone: it runs in ComfyUI's environment.
"""

from __future__ import annotations

import _thread
import importlib
import importlib.util
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

GRACE_S = 4.0
"""How long an interrupted ComfyUI may take for its own clean-up."""


def die_with_parent(grace_s: float = GRACE_S) -> None:
    """Watch standard input in a thread; at its end interrupt this process, then end it."""
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)  # what runs in this process must not read the pipe
    os.close(null)

    def watch() -> None:
        while os.read(pipe, 4096):
            pass
        threading.Timer(grace_s, os._exit, args=[1]).start()
        if os.name == "nt":
            _thread.interrupt_main()
        else:
            os.kill(os.getpid(), signal.SIGINT)  # unlike interrupt_main, wakes a main thread that sleeps in select()

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


class MendTorchvision(MetaPathFinder):
    """Lets torchvision be imported beside a torch that lacks its compiled operators; ComfyUI needs none of them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find torchvision as usual, but load it without registering its operators with torch."""
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: without_registration(load, module)  # type: ignore[method-assign]
        return spec


def without_registration(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Load a module while ``torch.library.register_fake`` is a decorator that does nothing."""
    library = importlib.import_module("torch").library
    register_fake = library.register_fake
    library.register_fake = lambda *_, **__: lambda function: function
    try:
        load(module)
    finally:
        library.register_fake = register_fake


def main(arguments: list[str]) -> None:
    """Run main.py as if it had been started by itself."""
    die_with_parent()
    if arguments[0] == "--mend-torchvision":
        sys.meta_path.insert(0, MendTorchvision())
        arguments = arguments[1:]
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
