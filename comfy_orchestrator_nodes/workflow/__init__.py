"""Workflow documents, prompts and definitions: pure, without I/O."""
