"""The report for people: one HTML file a language, from the published file alone, readable without a network."""
