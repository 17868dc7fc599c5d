"""Ask the real front end what it makes of the composed workflows, and keep the answers in ``cases/``.

Usage: ``python -m tests.golden.make_cases --static DIR --object-info FILE [NAME …]``, from the root of the repository.
``DIR`` is the ``static`` folder of the unpacked ``comfyui-frontend-package`` wheel of version 1.58.1; ``FILE`` is a
server's answer to ``GET /object_info``. A case holds only the classes that it uses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.golden.browser import front_end
from tests.golden.questions import CASES

FRONT_END = "1.58.1"
CASES_FOLDER = Path(__file__).parent / "cases"


def classes_of(workflow: dict[str, Any]) -> Iterator[str]:
    for node in workflow["nodes"]:
        yield node["type"]
    for inner in workflow.get("definitions", {}).get("subgraphs", []):
        yield from classes_of(inner)


async def answer(static: Path, object_info: dict[str, Any], names: list[str]) -> None:
    async with front_end(static, object_info) as page:
        for name in names:
            workflow = CASES[name]()
            outcomes = [await page.convert(workflow), await page.convert(workflow, 400)]
            if outcomes[0] != outcomes[1] or "api" not in outcomes[0]:
                raise SystemExit(f"{name}: no stable answer: {outcomes}")
            used = sorted(set(classes_of(workflow)) & object_info.keys())
            write(name, workflow, outcomes[0]["api"], {class_: object_info[class_] for class_ in used})


def write(name: str, workflow: dict[str, Any], api: dict[str, Any], object_info: dict[str, Any]) -> None:
    case = {"name": name, "frontend": FRONT_END, "workflow": workflow, "api": api, "object_info": object_info}
    CASES_FOLDER.mkdir(exist_ok=True)
    (CASES_FOLDER / f"{name}.json").write_text(json.dumps(case, separators=(",", ":"), sort_keys=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--static", type=Path, required=True)
    parser.add_argument("--object-info", type=Path, required=True)
    parser.add_argument("names", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    object_info = json.loads(arguments.object_info.read_text())
    asyncio.run(answer(arguments.static, object_info, arguments.names))


if __name__ == "__main__":
    main()
