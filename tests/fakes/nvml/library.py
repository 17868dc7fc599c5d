"""Compiles the made-up NVML and puts it where the real binding looks: pynvml itself stays as it is."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).with_name("nvml.c")
NAME = "libnvidia-ml.so.1"


def why_not() -> str:
    """Return why it cannot be built here; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "pynvml looks for the library in Windows' own folder, or finds none on this system"
    return "" if shutil.which("gcc") else "gcc is not installed"


def build(folder: Path) -> Path:
    """Compile the library into a folder, for another process to find there."""
    library = folder / NAME
    subprocess.run(
        # The loader gives a later dlopen() of the same soname the library that is loaded already.
        ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{NAME}", "-o", library, SOURCE],
        check=True,
    )
    return library


class FakeNvml:
    """The library, loaded into this process. One at most: the binding would go on using the first."""

    def __init__(self, folder: Path) -> None:
        self.path = build(folder)
        self._library = ctypes.CDLL(str(self.path))

    def clear(self, binding: ModuleType) -> None:
        """Forget every rule, as if the machine had just started; also what the binding remembers."""
        self._library.fake_clear()
        binding._nvmlLib_refcount = 0  # type: ignore[attr-defined]

    def set(self, **numbers: int) -> None:
        """Set numbers that functions answer."""
        for name, value in numbers.items():
            self._library.fake_set(name.encode(), ctypes.c_longlong(value))

    def fail(self, function: str, code: int, *, gpu: int = -1) -> None:
        """Let a function answer with an error code from now on."""
        self._library.fake_rule(function.encode(), gpu, code, 0)

    def delay(self, function: str, delay_ms: int) -> None:
        """Let a function take its time from now on."""
        self._library.fake_rule(function.encode(), -1, 0, delay_ms)

    def mend(self) -> None:
        """Let every function work again."""
        self._library.fake_forget_rules()

    def reset_driver(self) -> None:
        """Let every use of the library so far count for nothing, as after a reset of the driver."""
        self._library.fake_reset_driver()

    @property
    def opened(self) -> int:
        """How many initialisations were not shut down."""
        return int(self._library.fake_opened())
