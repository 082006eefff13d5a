"""From landing files to the schema ``raw``: the contract and the loader."""
