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

# METADATA
# description: A name is production if one of its words is prod or production, numbered or not, such as eu-prod2.
is_production(name) if regex.match(`(^|[^a-z0-9])prod(uction)?[0-9]*($|[^a-z0-9])`, lower(name))
