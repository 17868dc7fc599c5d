"""The definitions that a meta-graph carries with it, so that another master can run it.

They are at ``extra.orchestrator.definitions`` of the workflow document: the text of an exported file (``bundle.py``)
without workflow documents. A text, because a browser that loads and saves the workflow would change large and whole
numbers in an object; an object is read too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..domain import Json
from ..errors import InvalidDocument, NotFound
from . import bundle, safejson
from .bundle import Bundle
from .nested import used_definitions

_WHAT = "What this file carries"


def read(workflow: Mapping[str, Json]) -> Bundle | None:
    """Return the definitions that a workflow document carries, or None; nothing of them is trusted.

    Raises:
        InvalidDocument: what it carries is damaged, hostile, from a newer version, or was changed on its way.
    """
    extra = workflow.get("extra")
    ours = extra.get("orchestrator") if isinstance(extra, Mapping) else None
    carried = ours.get("definitions") if isinstance(ours, Mapping) else None
    if carried is None:
        return None
    if isinstance(carried, str):
        carried = safejson.parse(carried.encode("utf-8", "surrogatepass"), _WHAT)
    found = bundle.from_value(carried)
    _check_hashes(carried["definitions"], found)
    return found


def chosen(file: Bundle, ids: Collection[str]) -> Bundle:
    """Return these definitions of a file with all that they run, in its order.

    Raises:
        NotFound: the file does not hold one of them.
    """
    by_id = {definition.id: definition for definition in file.definitions}
    wanted: set[str] = set()
    waiting = list(ids)
    for id_ in waiting:
        if id_ not in by_id:
            raise NotFound("embedded workflow", id_, near=list(by_id)[:5])
    while waiting:
        id_ = waiting.pop()
        if id_ in wanted or id_ not in by_id:
            continue
        wanted.add(id_)
        waiting += used_definitions(by_id[id_].prompt)
    kept = tuple(definition for definition in file.definitions if definition.id in wanted)
    return Bundle(kept[-1].id, kept)


def _check_hashes(entries: Json, found: Bundle) -> None:
    hashes = {definition.id: definition.content_hash for definition in found.definitions}
    changed = [e["id"] for e in entries if e.get("content_hash") not in (None, hashes[e["id"]])]
    if changed:
        raise InvalidDocument(
            f"The workflow {changed[0]!r} that this file carries was changed on its way: it is not what its "
            "content_hash says. Nothing of it was used; ask its author for an exported file.",
            changed=changed,
        )
