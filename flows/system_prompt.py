"""What the model is told before anything is said."""

import json

from control_plane.wire.plan import Plan
from flows import structured_output


def system_prompt(plan: Plan) -> str:
    """The agent's instructions, the context of the request, and what the answer must look like."""
    parts = [plan.agent.instructions]
    if plan.input.context:
        context = json.dumps(plan.input.context, indent=2, sort_keys=True)
        parts.append(f"Context of the request:\n{context}")
    if plan.output_schema is not None:
        parts.append(structured_output.request(plan.output_schema))
    return "\n\n".join(part for part in parts if part.strip())
