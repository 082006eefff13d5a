"""The last stage: extracts of who may be contacted."""
