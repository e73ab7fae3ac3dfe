"""Budgets, and a record of every model call.

Revision: 0013
Revises: 0012
"""

from alembic import op

from migrations.tenancy import (
    APPLICATION_ROLE,
    SYSTEM_ROLE,
    in_projects,
    keep_to_projects,
    let_system_read,
    protect,
    system_function,
)

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OWNER = "organization_id uuid NOT NULL CONSTRAINT fk_{0}_organizations REFERENCES organizations (id) ON DELETE CASCADE"
_TIMES = "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"

_RESERVE_TAKES = (
    "call_id uuid, of_execution uuid, of_fence integer, of_model text, of_provider text, of_dialect text,"
    " input_bound bigint, output_bound bigint, comfortable_output bigint, least_output bigint,"
    " input_usd numeric, usd_per_output_token numeric, moment timestamptz, longest interval"
)
_RESERVE_TYPES = (
    "uuid, uuid, integer, text, text, text, bigint, bigint, bigint, bigint, numeric, numeric, timestamptz, interval"
)
_SETTLE_TAKES = (
    "call_id uuid, as_outcome text, used_input bigint, used_output bigint, used_cached bigint, used_cache_write bigint,"
    " used_usd numeric, of_model text, of_provider text, moment timestamptz"
)
_SETTLE_TYPES = "uuid, text, bigint, bigint, bigint, bigint, numeric, text, text, timestamptz"

_APPLYING = """
      SELECT b.organization_id, b.id, b.tokens, b.usd, b.period,
        CASE WHEN b.execution_id IS NOT NULL THEN 'execution' WHEN b.agent_id IS NOT NULL THEN 'agent'
          WHEN b.project_id IS NOT NULL THEN 'project' ELSE 'organization' END AS scope,
        CASE b.period WHEN 'day' THEN day_start WHEN 'month' THEN month_start ELSE timestamptz 'epoch' END AS starts_at
      FROM budgets b
      WHERE b.organization_id = in_organization AND (b.execution_id = ANY (in_executions)
        OR (b.execution_id IS NULL AND (b.agent_id = of_agent
          OR (b.agent_id IS NULL AND (b.project_id IS NULL OR b.project_id = in_project)))))
"""

# One round trip, and the same order for everybody: the execution, then the periods of its budgets by id, then the call.
# Rooms are compared as output tokens, since what the request itself costs is certain. What others hold at the moment may
# come back and is worth waiting for; what is spent will not.
_RESERVE = """
CREATE FUNCTION reserve_model_call(TAKES)
RETURNS TABLE (verdict text, granted bigint, limited boolean, budget_id uuid, scope text, period text, unit text,
  most numeric, spent numeric, reserved numeric, needed numeric, resets_at timestamptz)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $body$
#variable_conflict use_column
DECLARE
  in_organization uuid;
  in_project uuid;
  in_environment uuid;
  of_agent uuid;
  in_executions uuid[];
  one record;
  tightest record;
  scarcest record;
  room numeric;
  room_but_for_others numeric;
  least_room numeric;
  least_room_but_for_others numeric;
  budgets_held uuid[] := '{}';
  starts_held timestamptz[] := '{}';
  day_start timestamptz := date_trunc('day', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
  month_start timestamptz := date_trunc('month', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
BEGIN
  SELECT e.organization_id, e.project_id, e.environment_id, e.agent_id, e.ancestor_ids || e.id
    INTO in_organization, in_project, in_environment, of_agent, in_executions
    FROM executions e WHERE e.id = of_execution AND e.fence = of_fence AND e.status = 'running' FOR KEY SHARE;
  IF NOT FOUND THEN
    verdict := 'ended';
    RETURN NEXT;
    RETURN;
  END IF;

  INSERT INTO budget_periods (organization_id, budget_id, starts_at)
    SELECT a.organization_id, a.id, a.starts_at
    FROM (APPLYING) a
    WHERE NOT EXISTS (SELECT FROM budget_periods p
      WHERE p.organization_id = a.organization_id AND p.budget_id = a.id AND p.starts_at = a.starts_at)
    ORDER BY a.id
    ON CONFLICT DO NOTHING;

  FOR one IN
    SELECT a.*, p.spent_tokens, p.spent_usd, p.reserved_tokens, p.reserved_usd
    FROM (APPLYING) a
    JOIN budget_periods p
      ON p.organization_id = a.organization_id AND p.budget_id = a.id AND p.starts_at = a.starts_at
    ORDER BY a.id, a.starts_at FOR UPDATE OF p
  LOOP
    IF one.usd IS NOT NULL AND (input_usd IS NULL OR usd_per_output_token IS NULL) THEN
      verdict := 'unpriced';
      budget_id := one.id; scope := one.scope; period := one.period; unit := 'usd'; most := one.usd;
      RETURN NEXT;
      RETURN;
    END IF;
    budgets_held := budgets_held || one.id;
    starts_held := starts_held || one.starts_at;
    room_but_for_others := least(one.tokens - one.spent_tokens - input_bound, CASE
      WHEN one.usd IS NULL THEN NULL
      WHEN one.usd - one.spent_usd < input_usd THEN -1
      WHEN usd_per_output_token = 0 THEN output_bound
      ELSE floor((one.usd - one.spent_usd - input_usd) / usd_per_output_token) END);
    room := least(one.tokens - one.spent_tokens - one.reserved_tokens - input_bound, CASE
      WHEN one.usd IS NULL THEN NULL
      WHEN one.usd - one.spent_usd - one.reserved_usd < input_usd THEN -1
      WHEN usd_per_output_token = 0 THEN output_bound
      ELSE floor((one.usd - one.spent_usd - one.reserved_usd - input_usd) / usd_per_output_token) END);
    IF least_room IS NULL OR room < least_room THEN
      least_room := room;
      tightest := one;
    END IF;
    IF least_room_but_for_others IS NULL OR room_but_for_others < least_room_but_for_others THEN
      least_room_but_for_others := room_but_for_others;
      scarcest := one;
    END IF;
  END LOOP;

  limited := least_room IS NOT NULL;
  granted := greatest(0, least(output_bound, least_room));
  IF limited AND (least_room < 0 OR granted < least(output_bound, comfortable_output)) THEN
    IF least_room_but_for_others > least_room
        AND least_room_but_for_others >= least(output_bound, least_output) THEN
      verdict := 'reserved';
      one := tightest;
    ELSIF least_room < 0 OR granted < least(output_bound, least_output) THEN
      verdict := 'spent';
      one := scarcest;
    END IF;
    IF verdict IS NOT NULL THEN
      budget_id := one.id; scope := one.scope; period := one.period;
      unit := CASE
        WHEN one.usd IS NULL THEN 'tokens'
        WHEN one.tokens IS NULL THEN 'usd'
        WHEN one.tokens - one.spent_tokens - one.reserved_tokens < input_bound + output_bound THEN 'tokens'
        ELSE 'usd' END;
      most := CASE unit WHEN 'usd' THEN one.usd ELSE one.tokens END;
      spent := CASE unit WHEN 'usd' THEN one.spent_usd ELSE one.spent_tokens END;
      reserved := CASE unit WHEN 'usd' THEN one.reserved_usd ELSE one.reserved_tokens END;
      needed := CASE unit WHEN 'usd' THEN input_usd + output_bound * usd_per_output_token
        ELSE input_bound + output_bound END;
      resets_at := CASE one.period WHEN 'day' THEN day_start + interval '24 hours'
        WHEN 'month' THEN (month_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' END;
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;

  UPDATE budget_periods p SET
      reserved_tokens = p.reserved_tokens + input_bound + granted,
      reserved_usd = p.reserved_usd + coalesce(input_usd + granted * usd_per_output_token, 0)
    FROM unnest(budgets_held, starts_held) AS held (budget_id, starts_at)
    WHERE p.organization_id = in_organization AND p.budget_id = held.budget_id AND p.starts_at = held.starts_at;
  INSERT INTO model_calls (id, organization_id, project_id, environment_id, agent_id, execution_id, model, provider,
      dialect, outcome, reserved_input_tokens, reserved_output_tokens, reserved_usd, budget_ids, budget_starts,
      created_at, settle_by)
    VALUES (call_id, in_organization, in_project, in_environment, of_agent, of_execution,
      of_model, of_provider, of_dialect, 'running', input_bound, granted,
      input_usd + granted * usd_per_output_token, budgets_held, starts_held, moment, moment + longest);
  verdict := 'granted';
  RETURN NEXT;
END $body$
""".replace("TAKES", _RESERVE_TAKES).replace("APPLYING", _APPLYING)

# Idempotent. What is lost counts as if all that was reserved had been used, and is put right if it ends after all. The
# order is that of reserving; the hour comes last, and is one row.
_SETTLE = """
CREATE FUNCTION settle_model_call(TAKES) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $body$
#variable_conflict use_column
DECLARE
  call model_calls%ROWTYPE;
  tokens_before bigint := 0;
  usd_before numeric := 0;
  first_time boolean;
BEGIN
  SELECT c.* INTO call FROM model_calls c WHERE c.id = call_id FOR UPDATE;
  IF NOT FOUND OR call.outcome NOT IN ('running', 'lost') OR (call.outcome = 'lost' AND as_outcome = 'lost') THEN
    RETURN;
  END IF;
  IF as_outcome = 'lost' THEN
    used_input := call.reserved_input_tokens;
    used_output := call.reserved_output_tokens;
    used_usd := call.reserved_usd;
  END IF;
  first_time := call.outcome = 'running';
  IF NOT first_time THEN
    tokens_before := call.input_tokens + call.output_tokens;
    usd_before := coalesce(call.cost_usd, 0);
  END IF;
  PERFORM FROM budget_periods p
    JOIN unnest(call.budget_ids, call.budget_starts) AS held (budget_id, starts_at)
      ON p.budget_id = held.budget_id AND p.starts_at = held.starts_at
    WHERE p.organization_id = call.organization_id
    ORDER BY p.budget_id, p.starts_at FOR UPDATE OF p;
  UPDATE budget_periods p SET
      reserved_tokens = p.reserved_tokens - CASE WHEN first_time THEN call.reserved_input_tokens + call.reserved_output_tokens
        ELSE 0 END,
      reserved_usd = p.reserved_usd - CASE WHEN first_time THEN coalesce(call.reserved_usd, 0) ELSE 0 END,
      spent_tokens = p.spent_tokens + used_input + used_output - tokens_before,
      spent_usd = p.spent_usd + coalesce(used_usd, 0) - usd_before
    FROM unnest(call.budget_ids, call.budget_starts) AS held (budget_id, starts_at)
    WHERE p.organization_id = call.organization_id AND p.budget_id = held.budget_id AND p.starts_at = held.starts_at;
  UPDATE model_calls c SET
      outcome = as_outcome, input_tokens = used_input, output_tokens = used_output, cached_input_tokens = used_cached,
      cache_write_tokens = used_cache_write, cost_usd = used_usd, model = coalesce(of_model, c.model),
      provider = coalesce(of_provider, c.provider), settle_by = NULL, ended_at = moment
    WHERE c.id = call_id;
  INSERT INTO usage_hours AS h (organization_id, hour, project_id, environment_id, agent_id, provider, model,
      calls, failed_calls, unpriced_calls, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens,
      cost_usd)
    VALUES (call.organization_id, date_trunc('hour', call.created_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',
      call.project_id, call.environment_id, call.agent_id, coalesce(of_provider, call.provider),
      coalesce(of_model, call.model), CASE WHEN first_time THEN 1 ELSE 0 END,
      (as_outcome <> 'completed')::integer - CASE WHEN first_time THEN 0 ELSE 1 END,
      (used_usd IS NULL)::integer - (NOT first_time AND call.cost_usd IS NULL)::integer,
      used_input - CASE WHEN first_time THEN 0 ELSE call.input_tokens END,
      used_output - CASE WHEN first_time THEN 0 ELSE call.output_tokens END,
      used_cached - CASE WHEN first_time THEN 0 ELSE call.cached_input_tokens END,
      used_cache_write - CASE WHEN first_time THEN 0 ELSE call.cache_write_tokens END,
      coalesce(used_usd, 0) - usd_before)
    ON CONFLICT ON CONSTRAINT pk_usage_hours DO UPDATE SET
      calls = h.calls + excluded.calls, failed_calls = h.failed_calls + excluded.failed_calls,
      unpriced_calls = h.unpriced_calls + excluded.unpriced_calls,
      input_tokens = h.input_tokens + excluded.input_tokens, output_tokens = h.output_tokens + excluded.output_tokens,
      cached_input_tokens = h.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = h.cache_write_tokens + excluded.cache_write_tokens,
      cost_usd = h.cost_usd + excluded.cost_usd;
END $body$
""".replace("TAKES", _SETTLE_TAKES)


def upgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN budget jsonb")
    _budgets()
    _usage()
    for function in (_RESERVE, _SETTLE):
        op.execute(function)
    for signature in _functions():
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC, CURRENT_USER")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO {APPLICATION_ROLE}")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    let_system_read("model_calls", columns="id, organization_id, settle_by")
    system_function(
        "model_calls_to_settle(moment timestamptz, most integer)",
        returns="TABLE (organization_id uuid, id uuid)",
        body="SELECT organization_id, id FROM model_calls WHERE settle_by <= moment ORDER BY settle_by LIMIT most",
    )
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def _budgets() -> None:
    op.execute(
        "CREATE TABLE budgets ("
        f" id uuid CONSTRAINT pk_budgets PRIMARY KEY, {_OWNER.format('budgets')}, project_id uuid, agent_id uuid,"
        " execution_id uuid, period text NOT NULL, tokens bigint, usd numeric(18,6), imposed boolean NOT NULL,"
        f" {_TIMES},"
        " CONSTRAINT uq_budgets_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_budgets_place UNIQUE NULLS NOT DISTINCT"
        "  (organization_id, project_id, agent_id, execution_id, period, imposed),"
        " CONSTRAINT ck_budgets_place CHECK (num_nonnulls(agent_id, execution_id) <= 1"
        "  AND (project_id IS NOT NULL OR num_nonnulls(agent_id, execution_id) = 0)),"
        " CONSTRAINT ck_budgets_period CHECK (period IN ('day', 'month', 'total')),"
        " CONSTRAINT ck_budgets_limits CHECK (num_nonnulls(tokens, usd) > 0 AND tokens >= 0 AND usd >= 0),"
        " CONSTRAINT fk_budgets_projects FOREIGN KEY (organization_id, project_id)"
        "  REFERENCES projects (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_budgets_agents FOREIGN KEY (organization_id, project_id, agent_id)"
        "  REFERENCES agents (organization_id, project_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_budgets_executions FOREIGN KEY (organization_id, execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE CASCADE)"
    )
    # Two short ways to what applies: executions may have as many as there are executions.
    op.execute(
        "CREATE INDEX ix_budgets_organization_id_execution_id ON budgets (organization_id, execution_id)"
        " WHERE execution_id IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX ix_budgets_organization_id_agent_id_project_id ON budgets"
        " (organization_id, agent_id, project_id) WHERE execution_id IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_budgets_organization_id_created_at_id ON budgets (organization_id, created_at DESC, id DESC)"
    )
    protect("budgets")
    keep_to_projects("budgets", condition=in_projects("project_id"))
    op.execute(
        "CREATE TABLE budget_periods ("
        f" {_OWNER.format('budget_periods')}, budget_id uuid NOT NULL, starts_at timestamptz NOT NULL,"
        " reserved_tokens bigint NOT NULL DEFAULT 0, reserved_usd numeric NOT NULL DEFAULT 0,"
        " spent_tokens bigint NOT NULL DEFAULT 0, spent_usd numeric NOT NULL DEFAULT 0,"
        " CONSTRAINT pk_budget_periods PRIMARY KEY (organization_id, budget_id, starts_at),"
        " CONSTRAINT fk_budget_periods_budgets FOREIGN KEY (organization_id, budget_id)"
        "  REFERENCES budgets (organization_id, id) ON DELETE CASCADE)"
        # Its rows change with every call, and nothing in them is indexed: most changes then stay on their page.
        " WITH (fillfactor = 50)"
    )
    protect("budget_periods", grants="SELECT, INSERT, UPDATE")
    keep_to_projects(
        "budget_periods",
        condition=(
            "EXISTS (SELECT FROM budgets WHERE budgets.organization_id = budget_periods.organization_id"
            " AND budgets.id = budget_periods.budget_id)"
        ),
    )


def _usage() -> None:
    # What was used stays known when what used it is gone, so most ids here refer to nothing that must exist.
    op.execute(
        "CREATE TABLE model_calls ("
        f" id uuid CONSTRAINT pk_model_calls PRIMARY KEY, {_OWNER.format('model_calls')}, project_id uuid NOT NULL,"
        " environment_id uuid NOT NULL, agent_id uuid NOT NULL, execution_id uuid, provider text NOT NULL,"
        " model text NOT NULL, dialect text NOT NULL, outcome text NOT NULL, reserved_input_tokens bigint NOT NULL,"
        " reserved_output_tokens bigint NOT NULL, reserved_usd numeric, budget_ids uuid[] NOT NULL, budget_starts timestamptz[] NOT NULL,"
        " input_tokens bigint, output_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,"
        " cost_usd numeric, created_at timestamptz NOT NULL, settle_by timestamptz, ended_at timestamptz,"
        " CONSTRAINT uq_model_calls_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT ck_model_calls_outcome CHECK (outcome IN"
        "  ('running', 'completed', 'failed', 'cancelled', 'refused', 'lost')),"
        " CONSTRAINT ck_model_calls_settled CHECK ((outcome = 'running') = (settle_by IS NOT NULL)"
        "  AND (outcome = 'running' OR num_nulls(input_tokens, output_tokens, cached_input_tokens, cache_write_tokens,"
        "  ended_at) = 0)),"
        " CONSTRAINT fk_model_calls_executions FOREIGN KEY (organization_id, execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE SET NULL (execution_id))"
    )
    op.execute(
        "CREATE INDEX ix_model_calls_organization_id_execution_id ON model_calls (organization_id, execution_id)"
        " WHERE execution_id IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_model_calls_settle_by ON model_calls (settle_by) WHERE settle_by IS NOT NULL")
    protect("model_calls", grants="SELECT, INSERT, UPDATE")
    keep_to_projects("model_calls", condition=in_projects("project_id"))
    op.execute(
        "CREATE TABLE usage_hours ("
        f" {_OWNER.format('usage_hours')}, hour timestamptz NOT NULL, project_id uuid NOT NULL,"
        " environment_id uuid NOT NULL, agent_id uuid NOT NULL, provider text NOT NULL, model text NOT NULL,"
        " calls bigint NOT NULL, failed_calls bigint NOT NULL, unpriced_calls bigint NOT NULL,"
        " input_tokens bigint NOT NULL, output_tokens bigint NOT NULL, cached_input_tokens bigint NOT NULL,"
        " cache_write_tokens bigint NOT NULL, cost_usd numeric NOT NULL,"
        " CONSTRAINT pk_usage_hours PRIMARY KEY"
        "  (organization_id, hour, project_id, environment_id, agent_id, provider, model)) WITH (fillfactor = 70)"
    )
    protect("usage_hours", grants="SELECT, INSERT, UPDATE")
    keep_to_projects("usage_hours", condition=in_projects("project_id"))


def _functions() -> tuple[str, ...]:
    return (
        f"reserve_model_call({_RESERVE_TYPES})",
        f"settle_model_call({_SETTLE_TYPES})",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION model_calls_to_settle(timestamptz, integer)")
    for signature in reversed(_functions()):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("DROP TABLE usage_hours, model_calls, budget_periods, budgets")
    op.execute("ALTER TABLE executions DROP COLUMN budget")
