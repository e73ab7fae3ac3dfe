package control_plane.require_approval_for_prod

calling(effect, environment, context) := {
	"tool": {"name": "kubernetes_apply", "effect": effect},
	"environment": {"name": environment},
	"execution": {"context": context},
}

test_a_write_in_production_waits if count(require_approval) == 1 with input as calling("write", "prod", {})

test_a_deletion_in_a_part_of_production_waits if count(require_approval) == 1 with input as calling("destroy", "production-eu", {})

test_a_request_about_production_waits_anywhere if count(require_approval) == 1 with input as calling("write", "ops", {"environment": "Production"})

test_reading_production_is_allowed if count(require_approval) == 0 with input as calling("read", "prod", {})

test_a_write_in_staging_is_allowed if count(require_approval) == 0 with input as calling("write", "staging", {"environment": "staging"})

test_a_name_that_only_begins_alike_is_not_production if count(require_approval) == 0 with input as calling("write", "product-catalog", {})

test_a_word_within_the_name_counts if {
	every name in ["eu-prod", "prod2", "PROD_EU", "eu.production.3"] {
		count(require_approval) == 1 with input as calling("write", name, {})
	}
}
