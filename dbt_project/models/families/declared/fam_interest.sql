-- One row per known user: the declared interest that comes first in the order of the seed, and all of them beside it.
{{ declared_list_family('interest', 'interests') }}
