"""Roles: what every column of a log is, whatever its trainer calls it (judging.md).

``assign`` asks in this order: the user's own word (``--map``), the trainer's dialect, the catalogue's names, the grammar of
names, and then how the values behave. A guess is never stated as a fact: each role says how sure it is and why.
"""

from vaelab.roles.assign import Assigned, NamedValues, assign, declared_roles, parse_map

__all__ = ["Assigned", "NamedValues", "assign", "declared_roles", "parse_map"]
