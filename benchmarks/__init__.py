"""Benchmarks, run by ``python tools/dev.py bench``.

A benchmark is a module here with ``async def run(farm: Farm) -> Result`` (from ``tools.devtools.instances`` and
``tools.devtools.bench``). It starts what it needs with ``await asyncio.to_thread(farm.plain, "a", "b")`` or
``farm.with_pack``; instances of the same name are shared with the benchmarks after it. It measures its floor, the least
that any program would need for the same work, interleaved with the subject, because absolute times move with what else
the machine does: only ``ratios`` can be compared between runs. Names of figures end in their unit (``dispatch_ms``,
``wire_bytes``); a ratio's name says what is divided by what.
"""
