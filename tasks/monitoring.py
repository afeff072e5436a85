"""Watching production, telling what was seen, and deciding whether to retrain."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from everfresh.loop import watch
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.report import MonitoringReport
from everfresh.monitoring.retraining import RetrainDecision
from everfresh.registry.versions import ModelVersion
from tasks.reports import markdown
from tasks.retrying import may_heal


@task(retries=2, retry_delay_seconds=[1, 10], retry_condition_fn=may_heal, cache_policy=NO_CACHE, persist_result=False)
def check(workspace: Workspace, champion: ModelVersion, as_of: datetime | None) -> MonitoringReport:
    """What is true of the champion's production."""
    return watch.check(workspace, champion, as_of or datetime.now(UTC))


@task(cache_policy=NO_CACHE, persist_result=False)
def announce(workspace: Workspace, report: MonitoringReport) -> None:
    """Keep the report, and send the events that it is worth."""
    watch.write_latest(workspace, report)
    markdown("monitoring", workspace.name, report.to_markdown(), report.reason)
    for event in watch.events(workspace, report):
        emit_event(event=event.name, resource=event.resource, payload=event.payload)


@task(retries=2, retry_delay_seconds=[1, 10], retry_condition_fn=may_heal, cache_policy=NO_CACHE, persist_result=False)
def decide_retrain(
    workspace: Workspace, trigger: str, forced_by: str, as_of: datetime | None, occurred: datetime | None
) -> RetrainDecision:
    """Whether the policy asks for a retrain."""
    now = datetime.now(UTC)
    return watch.decide(workspace, as_of or now, trigger=trigger, forced_by=forced_by, occurred=occurred, now=now)
