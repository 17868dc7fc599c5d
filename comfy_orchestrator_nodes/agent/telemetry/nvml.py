"""NVIDIA GPUs, asked through NVML by the binding ``pynvml`` (package nvidia-ml-py).

The binding's state is global to the process, and other packs may use it too: NVML counts its initialisations, so ours
neither needs nor disturbs theirs. Every call may fail for itself; what a GPU refuses once because it cannot do it is
not asked again until NVML is opened anew. Source: the NVML API reference, https://docs.nvidia.com/deploy/nvml-api/.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from typing import Any

from . import nvml_words
from .models import ABSENT, FAILED, OK, Device, Source
from .nvml_gpu import Gone, Identity, NvmlGpu
from .processes import ProcessNames

log = logging.getLogger(__name__)

REOPEN_S = 30.0
"""How long after a failure NVML is opened anew: a driver that is being replaced is back within a minute."""


def load_binding() -> Any:
    """Return the module ``pynvml``.

    Raises:
        Exception: whatever a missing or broken installation of it raises.
    """
    return importlib.import_module("pynvml")


class Nvml:
    """All NVIDIA GPUs of this machine. Belongs to the sampling thread; opened by the first ``read``."""

    name = "nvml"

    def __init__(
        self,
        names: ProcessNames,
        *,
        load: Callable[[], Any] = load_binding,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make it without touching the driver.

        Args:
            names: tells the names of processes.
            load: imports the binding.
            clock: seconds, never going back.
        """
        self._names = names
        self._load = load
        self._clock = clock
        self._binding: Any = None
        self._gpus: list[NvmlGpu] = []
        self._open = False
        self._retry_at: float | None = float("-inf")
        """When to open it (again); None for never."""
        self._source = Source(self.name, ABSENT)

    def read(self) -> tuple[list[Device], Source]:
        """Return every GPU as it is now, and how NVML itself is. Never raises what the driver does."""
        now = self._clock()
        if self._retry_at is not None and now >= self._retry_at:
            self._reopen()
        devices = [device for gpu in self._gpus for device in self._read_gpu(gpu, now)]
        return devices, self._source

    def close(self) -> None:
        """Let go of NVML."""
        if not self._open:
            return
        self._open = False
        try:
            self._binding.nvmlShutdown()
        except self._binding.NVMLError as error:
            log.debug("NVML could not be shut down: %s", error)

    def _reopen(self) -> None:
        known = self._gpus
        self.close()
        self._retry_at = None
        try:
            binding = self._load()
        except ImportError:
            message = "The package nvidia-ml-py is not installed: pip install nvidia-ml-py shows the NVIDIA GPUs."
            self._source = Source(self.name, ABSENT, message)
            return
        except Exception as error:  # noqa: BLE001 - whatever a broken installation does must not end the sampling
            self._source = Source(
                self.name, FAILED, f"The package nvidia-ml-py is broken ({type(error).__name__}); install it again."
            )
            return
        self._binding = binding
        try:
            binding.nvmlInit()
            self._open = True
            count = binding.nvmlDeviceGetCount()
        except binding.NVMLError as error:
            self._refused(error, known)
            return
        self._gpus = [self._gpu(index, known) for index in range(count)]
        self._source = Source(self.name, OK) if count else Source(self.name, ABSENT, "The NVIDIA driver sees no GPU.")
        if any(gpu.lost for gpu in self._gpus):
            self._retry_at = self._clock() + REOPEN_S

    def _refused(self, error: Any, known: list[NvmlGpu]) -> None:
        state, message = nvml_words.source_state(self._binding, error.value)
        self._source = Source(self.name, state, message)
        # A GPU that was seen stays on show as lost, so that its chart does not just vanish.
        for gpu in known:
            gpu.lose(message)
        if state != ABSENT:
            self._retry_at = self._clock() + REOPEN_S

    def _gpu(self, index: int, known: list[NvmlGpu]) -> NvmlGpu:
        try:
            return NvmlGpu.open(self._binding, index, self._names)
        except self._binding.NVMLError as error:
            message = nvml_words.gpu_problem(self._binding, error.value)
        except Gone as gone:
            message = str(gone)
        before = next((gpu.identity for gpu in known if gpu.identity.index == index), None)
        return NvmlGpu(self._binding, None, before or Identity(index, f"nvidia-{index}"), self._names, message)

    def _read_gpu(self, gpu: NvmlGpu, now: float) -> list[Device]:
        try:
            return gpu.read(now)
        except Gone as gone:
            gpu.lose(str(gone))
            if self._retry_at is None:
                self._retry_at = now + REOPEN_S
            return gpu.read(now)
