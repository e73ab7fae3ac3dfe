# METADATA
# title: Approval for production
# description: A tool that writes or destroys needs a person's approval where production is concerned.
package control_plane.require_approval_for_prod

# METADATA
# title: changes_production
require_approval contains {"rule": "changes_production", "reason": reason} if {
	not reads
	concerns_production
	reason := sprintf("%s changes production", [input.tool.name])
}

reads if input.tool.effect == "read"

concerns_production if is_production(input.environment.name)

concerns_production if is_production(input.execution.context.environment)

is_production(name) if regex.match(`^(prod|production)(-.*)?$`, lower(name))
