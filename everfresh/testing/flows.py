"""What the flows do, without Prefect: the same calls in the same order, on a workspace in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from everfresh.loop import judgement
from everfresh.loop.challenger import lineage_of, make_challenger
from everfresh.loop.outcome import Outcome
from everfresh.loop.permission import may_deploy
from everfresh.loop.release import bring_back, release
from everfresh.loop.rows import learning_rows
from everfresh.loop.scoring import Scored, score_table
from everfresh.loop.search import orders, search_one
from everfresh.loop.watch import check, decide, write_latest
from everfresh.loop.workspace import Workspace
from everfresh.monitoring.report import MonitoringReport


@dataclass(frozen=True)
class FlowsInMemory:
    """The flows of one project, by their names; what is called the project in a call is not looked at."""

    workspace: Workspace

    def train(self, project: str, as_of: datetime | None = None) -> Outcome:
        """As the flow `train`."""
        workspace = self.workspace
        rows = learning_rows(workspace.project, workspace.settings, as_of)
        version = workspace.registry.same_content(workspace.name, lineage_of(workspace, rows))
        if version is None:
            trials = [trial for order in orders(workspace, rows) for trial in search_one(order)]
            version = make_challenger(workspace, rows, trials)
        verdict = judgement.judge(workspace, rows, version)
        judgement.record(workspace, version, verdict)
        return Outcome.trained(version, verdict, workspace.serving())

    def deploy(self, project: str, version: int | None = None, approved_by: str = "", reason: str = "") -> Outcome:
        """As the flow `deploy`."""
        workspace = self.workspace
        candidate = workspace.registry.to_deploy(workspace.name, version)
        permission = may_deploy(workspace.spec.promotion, candidate, approved_by, datetime.now(UTC))
        if not permission.granted:
            return Outcome.not_permitted(permission, candidate, workspace.serving())
        return release(workspace, candidate, reason or permission.reason)

    def monitor(self, project: str, as_of: datetime | None = None) -> MonitoringReport | Outcome:
        """As the flow `monitor`."""
        workspace = self.workspace
        champion = workspace.registry.champion(workspace.name)
        if champion is None:
            return Outcome.no_champion(workspace.name)
        report = check(workspace, champion, as_of or datetime.now(UTC))
        write_latest(workspace, report)
        return report

    def retrain(
        self, project: str, trigger: str = "hand", forced_by: str = "", as_of: datetime | None = None
    ) -> Outcome:
        """As the flow `retrain`."""
        now = as_of or datetime.now(UTC)
        decision = decide(self.workspace, now, trigger=trigger, forced_by=forced_by, now=now)
        if not decision.retrain:
            return Outcome.kept(decision.reason, self.workspace.serving())
        trained = self.train(project, as_of)
        if not trained.waits_for_rollout:
            return trained
        return self.deploy(project, version=trained.version, reason=decision.reason)

    def rollback(self, project: str, to: int | None = None, reason: str = "asked for by hand") -> Outcome:
        """As the flow `rollback`."""
        version = self.workspace.registry.to_roll_back_to(self.workspace.name, to)
        return bring_back(self.workspace, version, reason, datetime.now(UTC))

    def score(self, project: str, table: str | None = None, output: str | None = None) -> Scored:
        """As the flow `score`."""
        champion = self.workspace.registry.load_champion(self.workspace.name)
        return score_table(self.workspace, champion, table, Path(output) if output else None)
