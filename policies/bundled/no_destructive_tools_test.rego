package control_plane.no_destructive_tools

test_destroy_is_denied if count(deny) == 1 with input as {"tool": {"name": "files_delete", "effect": "destroy"}}

test_write_is_allowed if count(deny) == 0 with input as {"tool": {"name": "files_write", "effect": "write"}}

test_read_is_allowed if count(deny) == 0 with input as {"tool": {"name": "files_read", "effect": "read"}}
