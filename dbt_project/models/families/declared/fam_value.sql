-- One row per known user: the declared value that comes first in the order of the seed, and all of them beside it.
{{ declared_list_family('value', 'declared_values') }}
