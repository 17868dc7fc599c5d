"""Model files in prompts: telling them from other choices, spelling them as a backend does, finding near matches."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from ..domain import Json

MODEL_SUFFIXES = (
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pt2",
    ".pth",
    ".bin",
    ".pkl",
    ".gguf",
    ".onnx",
    ".engine",
)
"""ComfyUI's ``folder_paths.supported_pt_extensions`` and the formats that widespread custom loaders add."""

_NEAR_RATIO = 0.6
_NEAR_LIMIT = 3


def is_model_file(value: Json) -> bool:
    """Whether a constant looks like the name of a model file."""
    return isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)


def unify(name: str) -> str:
    """Return a model's name with ``/`` between folders: Windows lists a backslash there."""
    return name.replace("\\", "/")


def respell(name: str, available: Collection[Json]) -> str | None:
    """Return how a backend spells ``name``, which may differ in folder separators and in nothing else, or None.

    A name that the backend lists as it is stays; of several spellings that fit, none is guessed.
    """
    if name in available:
        return name
    wanted = unify(name)
    found = [other for other in available if isinstance(other, str) and unify(other) == wanted]
    return found[0] if len(found) == 1 else None


def near_matches(name: str, available: Collection[Json]) -> tuple[str, ...]:
    """Return what the user may have meant: first the same file in another folder or case, else similar names."""
    others = [other for other in available if isinstance(other, str)]
    base = _base(name)
    same = [other for other in others if _base(other) == base]
    if same:
        return tuple(same[:_NEAR_LIMIT])
    by_base = {_base(other): other for other in reversed(others)}
    return tuple(by_base[b] for b in get_close_matches(base, by_base, n=_NEAR_LIMIT, cutoff=_NEAR_RATIO))


def _base(name: str) -> str:
    return unify(name).rsplit("/", 1)[-1].casefold()
