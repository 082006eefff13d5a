-- One row per known user: the income band that the user declares.
{{ declared_family('income_band') }}
