"""Developer tools: not part of the pack."""
