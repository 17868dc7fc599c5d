"""The parts of ``tools/dev.py``. Standard library only: they run before anything is installed."""
