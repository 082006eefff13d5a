"""The last stage: extracts of who may be contacted, and of whom the plan contacts."""
