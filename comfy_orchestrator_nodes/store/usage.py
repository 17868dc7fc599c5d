"""Which artifacts there are, in the order they were last used, and who needs which of them. In memory only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Entry:
    """What is known of one stored file."""

    sha256: str
    size_bytes: int
    touched_at: float
    """Its modification time: its last use that was written to the disk."""
    proven: bool
    """Whether its content cannot have been lost with the machine's power since it was written."""
    leases: dict[str, float] = field(default_factory=dict)
    """Owner to when its lease ends."""

    def leased(self, now: float) -> bool:
        """Whether somebody needs it at this time."""
        return any(until > now for until in self.leases.values())


class UsageOrder:
    """The entries, the least recently used first, with their total size and their leases. Not locked."""

    def __init__(self) -> None:
        self.total_bytes = 0
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._owned: dict[str, set[str]] = {}
        """Owner to the hashes that it leases."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, sha256: str) -> Entry | None:
        """Return the entry of a hash, or None."""
        return self._entries.get(sha256)

    def add(self, entry: Entry) -> None:
        """Add an entry as the most recently used; one of the same hash is replaced and its leases go on."""
        before = self.remove(entry.sha256)
        self._entries[entry.sha256] = entry
        self.total_bytes += entry.size_bytes
        if before is not None:
            for owner, until in before.leases.items():
                self.lease(owner, entry.sha256, until)

    def remove(self, sha256: str) -> Entry | None:
        """Remove and return the entry of a hash; None if there is none."""
        entry = self._entries.pop(sha256, None)
        if entry is None:
            return None
        self.total_bytes -= entry.size_bytes
        for owner in entry.leases:
            self._disown(owner, sha256)
        return entry

    def use(self, sha256: str) -> None:
        """Make an entry the most recently used."""
        self._entries.move_to_end(sha256)

    def lease(self, owner: str, sha256: str, until: float) -> None:
        """Lease an entry to an owner, or prolong that; a lease is never shortened."""
        leases = self._entries[sha256].leases
        leases[owner] = max(until, leases.get(owner, until))
        self._owned.setdefault(owner, set()).add(sha256)

    def release(self, owner: str) -> None:
        """End all leases of an owner."""
        for sha256 in self._owned.pop(owner, ()):
            del self._entries[sha256].leases[owner]

    def leased_bytes(self, now: float) -> int:
        """Return the size of all that somebody needs at this time."""
        return sum(entry.size_bytes for entry in self._entries.values() if entry.leased(now))

    def victims(self, wanted_bytes: int, now: float) -> Iterable[Entry]:
        """Return what to evict, the least recently used first, to free so much if there is so much."""
        chosen: list[Entry] = []
        for entry in self._entries.values():
            if wanted_bytes <= 0:
                break
            if not entry.leased(now):
                chosen.append(entry)
                wanted_bytes -= entry.size_bytes
        return chosen

    def _disown(self, owner: str, sha256: str) -> None:
        owned = self._owned[owner]
        owned.discard(sha256)
        if not owned:
            del self._owned[owner]
