# METADATA
# title: No destructive tools
# description: An agent may look and change, but never use a tool whose effect is `destroy`.
package control_plane.no_destructive_tools

# METADATA
# title: destroy
deny contains {"rule": "destroy", "reason": reason} if {
	input.tool.effect == "destroy"
	reason := sprintf("%s destroys things, and this agent may not", [input.tool.name])
}
