# METADATA
# title: Read only
# description: An agent may use tools whose effect is `read` and no others.
package control_plane.read_only

# METADATA
# title: not_read
deny contains {"rule": "not_read", "reason": reason} if {
	not reads
	reason := sprintf("%s has the effect %s, and this agent may only read", [input.tool.name, input.tool.effect])
}

reads if input.tool.effect == "read"
