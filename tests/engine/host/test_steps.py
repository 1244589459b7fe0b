"""What the portal calls the steps of a plan, and what the agent does."""

from engine.host.agent import limits, run


def test_the_agent_does_the_steps_that_plans_name_in_their_order_and_prunes() -> None:
    assert (*limits.PLAN_STEPS, "prune") == tuple(run.STEPS)
