"""Turns what providers report of messages into landing files."""
