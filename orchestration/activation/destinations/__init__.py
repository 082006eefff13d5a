"""Where segments and plan lists go: one module a kind of destination, behind one small interface."""
