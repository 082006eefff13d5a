-- One row per known user: the country of the profile.
{{ declared_family('country') }}
