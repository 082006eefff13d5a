-- One row per known user: the city of the profile.
{{ declared_family('city') }}
