"""Time series: a database of their own, because they are many and may be lost (ADR 102)."""
