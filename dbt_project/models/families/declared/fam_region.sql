-- One row per known user: the region of the profile.
{{ declared_family('region') }}
