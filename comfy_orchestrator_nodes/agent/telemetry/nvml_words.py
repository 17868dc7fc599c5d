"""What NVML's numbers mean, in words for people."""

from __future__ import annotations

from typing import Any

from .models import ABSENT, FAILED

_THROTTLE = (
    (0x0000_0000_0000_0002, "clocks set by a user"),
    (0x0000_0000_0000_0004, "power limit"),
    (0x0000_0000_0000_0008, "hardware slowdown (heat or power)"),
    (0x0000_0000_0000_0010, "kept in step with another GPU"),
    (0x0000_0000_0000_0020, "too warm (driver)"),
    (0x0000_0000_0000_0040, "too hot (hardware)"),
    (0x0000_0000_0000_0080, "power brake of the power supply"),
    (0x0000_0000_0000_0100, "clocks set for the display"),
    (0x0000_0000_0000_0200, "limit of the board"),
    (0x0000_0000_0000_0400, "reliability limit"),
)
"""nvmlClocksEventReasons. Idling (1) is no throttling."""


def throttle_reasons(mask: int) -> tuple[str, ...]:
    """Return why a GPU runs below its full clock; a reason of a newer driver by its number."""
    known = 1
    for bit, _ in _THROTTLE:
        known |= bit
    words = [text for bit, text in _THROTTLE if mask & bit]
    rest = mask & ~known
    if rest:
        words.append(f"reason 0x{rest:x}")
    return tuple(words)


def cannot(binding: Any, code: int) -> bool:
    """Whether an error means that this GPU will never answer this query."""
    return code in {
        binding.NVML_ERROR_NOT_SUPPORTED,
        binding.NVML_ERROR_FUNCTION_NOT_FOUND,
        binding.NVML_ERROR_NO_PERMISSION,
        binding.NVML_ERROR_INVALID_ARGUMENT,
        getattr(binding, "NVML_ERROR_ARGUMENT_VERSION_MISMATCH", 25),
        getattr(binding, "NVML_ERROR_DEPRECATED", 26),
    }


def gone(binding: Any, code: int) -> bool:
    """Whether an error means that nothing can be asked of this GPU until NVML is opened anew."""
    return code in {
        binding.NVML_ERROR_UNINITIALIZED,
        binding.NVML_ERROR_DRIVER_NOT_LOADED,
        binding.NVML_ERROR_GPU_IS_LOST,
        getattr(binding, "NVML_ERROR_RESET_REQUIRED", 16),
        getattr(binding, "NVML_ERROR_LIB_RM_VERSION_MISMATCH", 18),
        getattr(binding, "NVML_ERROR_GPU_NOT_FOUND", 28),
    }


def gpu_problem(binding: Any, code: int) -> str:
    """Return what is wrong with one GPU, and what to do."""
    if code == binding.NVML_ERROR_GPU_IS_LOST:
        return "The driver has lost this GPU. Restart the machine; if it happens again, check its power and its slot."
    if code == getattr(binding, "NVML_ERROR_RESET_REQUIRED", 16):
        return "This GPU must be reset: restart the machine, or run nvidia-smi --gpu-reset when nothing uses it."
    if code == binding.NVML_ERROR_NO_PERMISSION:
        return "The driver refuses to tell about this GPU: this user lacks the permission."
    return source_state(binding, code)[1]


def source_state(binding: Any, code: int) -> tuple[str, str]:
    """Return the state of NVML after it could not be opened, and what it means."""
    if code == binding.NVML_ERROR_LIBRARY_NOT_FOUND:
        return ABSENT, "There is no NVIDIA driver on this machine."
    if code == binding.NVML_ERROR_DRIVER_NOT_LOADED:
        return FAILED, "The NVIDIA driver is installed, but not loaded; it is looked for again every 30 s."
    if code == binding.NVML_ERROR_UNINITIALIZED:
        return FAILED, "The NVIDIA driver was reset; it is opened again within 30 s."
    if code == getattr(binding, "NVML_ERROR_LIB_RM_VERSION_MISMATCH", 18):
        return FAILED, "The NVIDIA driver was updated while the old one is still loaded: restart the machine."
    if code == binding.NVML_ERROR_NO_PERMISSION:
        return FAILED, "This user may not ask the NVIDIA driver: add it to the group that may (often 'video')."
    return FAILED, f"The NVIDIA driver answered with error {code}; it is asked again every 30 s."
