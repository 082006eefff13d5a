-- One row per known user: the education that the user declares.
{{ declared_family('education') }}
