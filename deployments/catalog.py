"""What is deployed: one flow, once per work pool, found on the worker in the installed distribution."""

FLOW_NAME = "agent-execution"
ENTRYPOINT = "flows.agent_execution:execute_agent"
PARAMETER = "execution_id"


def deployment_name(work_pool: str) -> str:
    """The deployment that runs executions on `work_pool`; people read it in the Prefect UI as `agent-execution/…`."""
    return work_pool
