-- One row per known user: the gender that the user declares.
{{ declared_family('gender') }}
