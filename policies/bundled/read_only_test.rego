package control_plane.read_only

test_read_is_allowed if count(deny) == 0 with input as {"tool": {"name": "files_read", "effect": "read"}}

test_write_is_denied if count(deny) == 1 with input as {"tool": {"name": "files_write", "effect": "write"}}

test_an_unknown_effect_is_denied if count(deny) == 1 with input as {"tool": {"name": "odd", "effect": "other"}}
