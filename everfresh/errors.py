"""Everything that everfresh raises on purpose.

    EverfreshError
    ├── SettingsError        an environment variable that holds what it cannot mean
    ├── SpecError            a spec that cannot be read or does not say what it must
    ├── DataError            a table that cannot be read or cannot be learned from
    ├── TrainingError        no candidate could be fitted
    ├── EvaluationError      a verdict that cannot be read, or an override that does not say what it must
    ├── MonitoringError      a reference profile or a schedule that cannot be read
    ├── RegistryError        a version or an alias that is not there, or a registry that is not
    ├── BundleError          a bundle that is damaged or cannot be made
    ├── ServingError         an inference server that cannot start, or an endpoint that does not answer
    ├── TargetError          a target that could not do what it was asked
    ├── StackError           Prefect, MLflow or the inference server could not be started or reached
    ├── ReplayError          a history that cannot be replayed
    └── MissingExtra         an optional dependency that is not installed

A "no" (a gate, a policy, an alarm) is a value with a reason and never one of these. Every class writes
its own sentence: what happened, to what, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everfresh.spec.faults import Fault


class EverfreshError(Exception):
    """The base of all errors that a user is meant to read; the command line shows it without a traceback.

    Attributes:
        may_heal: whether the same call may succeed a little later, without anybody's help.
    """

    may_heal = False

    def __reduce__(self) -> tuple[object, ...]:
        """How it is pickled: its classes take facts and not sentences, so a sentence cannot be made into one again."""
        return _with_its_sentence, (type(self), self.args, self.__dict__)


def _with_its_sentence(
    kind: type[EverfreshError], args: tuple[object, ...], facts: dict[str, object]
) -> EverfreshError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


# --- settings -----------------------------------------------------------------------------------


class SettingsError(EverfreshError):
    """An environment variable that holds what it cannot mean."""


class InvalidSetting(SettingsError):
    """A variable whose text is not what the variable is for."""

    def __init__(self, variable: str, read: str, allowed: str) -> None:
        super().__init__(f"The variable {variable} is {read!r} and must be {allowed}. See docs/settings.md.")


# --- spec ---------------------------------------------------------------------------------------


class SpecError(EverfreshError):
    """A spec that cannot be read or does not say what it must."""


class SpecNotFound(SpecError):
    """There is no spec of that name or path."""

    def __init__(self, wanted: str, known: Sequence[str]) -> None:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.6)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        there = f"There are: {', '.join(known)}." if known else "There is none yet: copy projects/flights.minimal.yaml."
        super().__init__(f"No spec {wanted!r}.{hint} {there}")


class InvalidSpec(SpecError):
    """A spec with faults; `faults` holds all of them, in the order of the file."""

    def __init__(self, file: Path, faults: Sequence[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(f"{file} has {count}:\n{lines}")


class ImportRefused(SpecError):
    """An import path that is not on the allow-list: importing it would run its code."""

    def __init__(self, path: str, allowed: Sequence[str]) -> None:
        super().__init__(
            f"{path!r} may not be imported: allowed are {', '.join(f'{prefix}*' for prefix in allowed)}. "
            "If you trust it, add its package to EVERFRESH_ALLOWED_IMPORTS (comma-separated prefixes)."
        )


class ImportFailed(SpecError):
    """An allowed import path that leads nowhere."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} could not be imported: {why}.")


# --- data ---------------------------------------------------------------------------------------


class DataError(EverfreshError):
    """A table that cannot be read or cannot be learned from."""


class SourceNotFound(DataError):
    """There is nothing where a table should be."""

    def __init__(self, what: str, looked_in: Sequence[str]) -> None:
        super().__init__(f"No table at {what!r}. Looked in {' and '.join(looked_in)}. Correct data.source in the spec.")


class SourceUnreadable(DataError):
    """Something is there, and it cannot be read as a table."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what!r} could not be read: {why}.")


class SourceUnreachable(SourceUnreadable):
    """The place of a table does not answer, or breaks off: a database, a store in a cloud, a service."""

    may_heal = True


class SourceNotConfigured(DataError):
    """The environment does not say where the database is."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            f"The environment variable {variable} is not set: it holds the URL of the database that data.source reads, "
            "as in postgresql://user@host/name."
        )


class EmptyTable(DataError):
    """A source without a single row."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what!r} has no rows. Look at what fills it, or correct data.source in the spec.")


class DuplicateColumns(DataError):
    """Two columns of one name: which one is meant cannot be known."""

    def __init__(self, what: str, names: Sequence[str]) -> None:
        super().__init__(f"{what!r} has more than one column named {', '.join(map(repr, names))}. Rename or drop one.")


class MissingColumn(DataError):
    """A column that the spec or the model names, and the table does not have."""

    def __init__(self, column: str, role: str, columns: Sequence[str]) -> None:
        close = difflib.get_close_matches(column, [str(name) for name in columns], n=1, cutoff=0.6)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        there = ", ".join(map(str, columns)) or "no columns at all"
        super().__init__(f"The table has no column {column!r}, which is {role}.{hint} It has: {there}.")


class NotNumbers(DataError):
    """Text, dates or anything else in a column that must hold numbers."""

    def __init__(self, column: str, count: int, examples: Sequence[str]) -> None:
        super().__init__(
            f"{column!r} must hold numbers, but {_values(count)} {_are(count)} none, such as {', '.join(examples)}. "
            "Clean the column, or declare it as a category under data.columns."
        )


class UnparsableTimes(DataError):
    """Values of the time column that are no times."""

    def __init__(self, column: str, count: int, examples: Sequence[str]) -> None:
        super().__init__(
            f"{_values(count)} of the time column {column!r} {_are(count)} no time, such as {', '.join(examples)}. "
            "Write times as ISO 8601, as in 2013-07-01T16:30:00Z."
        )


class NoLabels(DataError):
    """A table in which not one row has a label."""

    def __init__(self, label: str, rows: int) -> None:
        super().__init__(f"None of the {rows:,} rows has a label in {label!r}. Wait for labels, or correct data.label.")


class OneClass(DataError):
    """Labels that are all the same: there is nothing to tell apart."""

    def __init__(self, label: str, value: str, rows: int) -> None:
        super().__init__(
            f"All {rows:,} labels in {label!r} are {value!r}: a classifier needs two classes. "
            "Take a longer stretch of time, or correct data.label."
        )


class ContradictoryIds(DataError):
    """One id on rows that differ: which of them is true cannot be known."""

    def __init__(self, column: str, count: int, examples: Sequence[str]) -> None:
        ids = "1 id" if count == 1 else f"{count:,} ids"
        super().__init__(
            f"{ids} in {column!r} stand{'s' if count == 1 else ''} on rows that differ, such as {', '.join(examples)}. "
            "Make the id unique, or take data.id_column out of the spec."
        )


class NoFeatures(DataError):
    """A table of which no column can be learned from."""

    def __init__(self, ignored: Sequence[str]) -> None:
        why = "; ".join(ignored) or "there is no other column than the label"
        super().__init__(f"No column is left to learn from: {why}. Declare the features under data.columns.")


class NoKnownRows(DataError):
    """No row lies in the training window and has a label that is known by then."""

    def __init__(self, as_of: datetime, *, oldest: datetime, newest: datetime) -> None:
        super().__init__(
            f"No row is known as of {as_of:%Y-%m-%d %H:%M} within training.window and data.label_delay: the table goes "
            f"from {oldest} to {newest}. Choose another moment or a longer window."
        )


class CannotSplit(DataError):
    """A table that cannot be split into train, validation and holdout."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The table cannot be split: {why}. Change data.split, or bring more rows.")


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


# --- training -----------------------------------------------------------------------------------


class TrainingError(EverfreshError):
    """No candidate could be fitted."""


class NoTrialSucceeded(TrainingError):
    """Every trial of every candidate failed; each candidate's first reason is in the sentence."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        each = "; ".join(f"{candidate}: {reason}" for candidate, reason in reasons.items())
        super().__init__(f"No candidate could be fitted and scored ({each}). Mend training.candidates or the table.")


class NothingToLearnFrom(TrainingError):
    """No column has a value in the training rows."""

    def __init__(self, columns: Sequence[str], rows: int) -> None:
        named = f"{', '.join(columns[:5])}{' ...' if len(columns) > 5 else ''}" or "(none)"
        super().__init__(
            f"None of the {len(columns)} feature columns has a value in the {rows:,} training rows: {named}. "
            "Check data.columns and the source."
        )


class FitFailed(TrainingError):
    """The chosen trial could not be fitted once more on the training and validation rows together."""

    def __init__(self, trial: str, why: str) -> None:
        super().__init__(
            f"{trial} was chosen, but its fit on the training and validation rows failed: {why}. "
            "Train again, or take the candidate out of training.candidates."
        )


# --- evaluation ---------------------------------------------------------------------------------


class EvaluationError(EverfreshError):
    """A verdict that cannot be read, or an override that does not say what it must."""


class InvalidOverride(EvaluationError):
    """An override without a name or a reason."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The override was refused: {why}. Give both a name and a reason.")


class UnreadableVerdict(EvaluationError):
    """A document that is not a verdict."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The verdict cannot be read: {why}. Judge the version again.")


# --- monitoring ---------------------------------------------------------------------------------


class MonitoringError(EverfreshError):
    """A reference profile or a schedule that cannot be read."""


class UnreadableProfile(MonitoringError):
    """A document that is not a reference profile."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The reference profile cannot be read: {why}. Train the model again to make a new one.")


class UnreadableSchedule(MonitoringError):
    """A cron line whose fields mean nothing."""

    def __init__(self, cron: str, why: str) -> None:
        super().__init__(f'The schedule {cron!r} cannot be read: {why}. Write it as in "0 3 * * 0" (Sundays at three).')


# --- registry -----------------------------------------------------------------------------------


class RegistryError(EverfreshError):
    """A version or an alias that is not there, or a registry that is not."""


class NoChampion(RegistryError):
    """Nothing has been promoted yet."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model!r} has no champion yet. Run `everfresh train {model}`, then `everfresh deploy {model}`."
        )


class NoChallenger(RegistryError):
    """Nothing waits to be deployed."""

    def __init__(self, model: str) -> None:
        super().__init__(f"{model!r} has no challenger to deploy. Run `everfresh train {model}` first.")


class NoPrevious(RegistryError):
    """There is no earlier champion to go back to."""

    def __init__(self, model: str) -> None:
        super().__init__(f"{model!r} has no previous champion to go back to. Name a version with `--to`.")


class VersionNotFound(RegistryError):
    """The registry has no such version."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(f"{model!r} has no version {version} in the registry. See `everfresh status {model}`.")


class BundleNotRegistered(RegistryError):
    """A version whose run holds no bundle: its artifacts were deleted, or lie where this machine cannot read."""

    def __init__(self, model: str, version: int, uri: str, why: str) -> None:
        super().__init__(
            f"The bundle of {model!r} version {version} cannot be read from MLflow at {uri}: {why.rstrip('.')}. "
            "Bring its artifacts back, or train again."
        )


class RegistryUnreachable(RegistryError):
    """MLflow's database or server does not answer."""

    may_heal = True

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(
            f"MLflow at {uri} cannot be reached: {why}. Start it with `everfresh up`, or set MLFLOW_TRACKING_URI."
        )


class ArtifactsUnreachable(RegistryError):
    """The cloud store of the artifacts does not answer, or refuses."""

    may_heal = True

    def __init__(self, uri: str, why: str) -> None:
        super().__init__(
            f"The artifacts at {uri} cannot be reached: {why}. See that the place exists and that this process may use "
            "it, or choose another one with EVERFRESH_ARTIFACTS."
        )


# --- bundle -------------------------------------------------------------------------------------


class BundleError(EverfreshError):
    """A bundle that is damaged or cannot be made."""


class BundleMissing(BundleError):
    """There is no bundle where one was expected."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"There is no bundle in {directory}: it holds no bundle.json. Deploy the version again.")


class BundleDamaged(BundleError):
    """A bundle whose bytes are not the ones that were written; `file` is the one that differs."""

    def __init__(self, directory: Path, file: str, why: str) -> None:
        self.file = file
        super().__init__(
            f"The bundle in {directory} is damaged: {file} {why}. Nothing of it was loaded; deploy the version again."
        )


class BundleExists(BundleError):
    """Another bundle is already where this one should go: a version's content never changes."""

    def __init__(self, directory: Path, *, there: str, new: str) -> None:
        super().__init__(
            f"{directory} already holds a bundle with the digest {there[:12]}, and this one has {new[:12]}. "
            "A version never changes: give the new bundle a version of its own."
        )


class NoGoldenRows(BundleError):
    """A bundle without rows cannot be proven, neither when it is made nor when it is loaded."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The bundle of {name!r} needs at least one real row to be measured on, and got none.")


class NoAnswer(BundleError):
    """A pipeline that answers real rows with NaN or an infinity: no target could serve that."""

    def __init__(self, name: str, without: int, rows: int) -> None:
        super().__init__(
            f"The pipeline of {name!r} answers {without:,} of {rows:,} real rows with NaN or an infinity, and it "
            "was not packed. Choose another estimator, or one of its parameters that gives every row a number."
        )


class ClassesDiffer(BundleError):
    """A classifier that answers for other classes than the ones it is said to have."""

    def __init__(self, name: str, said: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(
            f"The pipeline of {name!r} answers for the classes {', '.join(found)}, and the bundle was to say "
            f"{', '.join(said)}. Give the classes in the order of the pipeline's `classes_`, as text."
        )


class TypesRefused(BundleError):
    """A stored model that needs types which nobody reviewed: loading them could run code."""

    def __init__(self, where: str, types: Sequence[str]) -> None:
        self.types = tuple(types)
        super().__init__(
            f"The model in {where} needs types that are not on the reviewed list: {', '.join(types)}. "
            "Use an estimator made of scikit-learn's own parts, or review the type and add it to "
            "everfresh/packaging/pipelines.py."
        )


class AnswerDiffers(BundleError):
    """A loaded model that does not answer its golden rows as it did when it was packed."""

    def __init__(self, name: str, version: int | None, difference: float, allowed: float) -> None:
        super().__init__(
            f"{name!r} version {version} answers its golden rows with a difference of {difference:.2g}; at most "
            f"{allowed:.2g} is allowed. It does not serve; compare the library versions in its bundle.json with this "
            "machine's."
        )


# --- serving ------------------------------------------------------------------------------------


class ServingError(EverfreshError):
    """An inference server that cannot start, or an endpoint that does not answer."""


class RootTaken(ServingError):
    """A second inference server on one root: the two would overwrite what they say about themselves."""

    def __init__(self, root: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "a process that did not say which"
        super().__init__(f"An inference server runs on {root} already ({who}). Stop it, or choose another --root.")


class StateUnreadable(ServingError):
    """The file that says which versions should serve is not what everfresh writes."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(
            f"{file} cannot be read as the desired state of a server: {why}. Deploy again to write it anew."
        )


class EndpointUnreachable(ServingError):
    """Nobody answers at an endpoint's address, or not in time."""

    may_heal = True

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url} does not answer: {why}. Is the inference server running? `everfresh status` tells.")


class EndpointRefused(ServingError):
    """An endpoint answered with an error; `status` and `code` are what it said."""

    def __init__(self, url: str, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(f"{url} refused the request with {status} ({code}): {message}")


class OpenToTheNetwork(ServingError):
    """A server that other machines would reach, and that would ask nobody who they are."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The server would listen on {host} and ask nobody who they are. Make a key (`everfresh keys add`), set "
            "EVERFRESH_OIDC_ISSUER, demand certificates with --tls-client-ca, or say --open if that is meant."
        )


class KeysUnreadable(ServingError):
    """The file of the API keys is not what everfresh writes, or others could change it."""

    def __init__(self, file: Path, why: str) -> None:
        super().__init__(f"The keys in {file} cannot be used: {why.rstrip('.')}. Mend the file, or make its keys anew.")


class UnknownKey(ServingError):
    """No key of that kid was ever made."""

    def __init__(self, kid: str, file: Path) -> None:
        super().__init__(f"There is no key {kid!r} in {file}. See `everfresh keys list`.")


class TooManyKeys(ServingError):
    """A third key for a name: rotating takes two, and a forgotten one is a risk."""

    def __init__(self, name: str, kids: Sequence[str]) -> None:
        super().__init__(
            f"{name!r} has {' and '.join(kids)} already, and may have two keys at a time. Revoke one with "
            f"`everfresh keys revoke {kids[0]}`, or choose another name."
        )


class TokenKeysUnreadable(ServingError):
    """The keys that tokens are checked with cannot be used."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"The keys of the token issuer in {where} cannot be used: {why.rstrip('.')}. EVERFRESH_OIDC_JWKS names a "
            "JWKS file with RSA keys of 2048 bits or P-256 keys, or an https URL of one."
        )


class TlsUnusable(ServingError):
    """A certificate, key or list of a server that should speak TLS cannot be used; `remedy` is a sentence."""

    def __init__(self, file: Path, why: str, remedy: str) -> None:
        super().__init__(f"{file} {why.rstrip('.')}. {remedy}")


class MixedVersions(ServingError):
    """One prediction whose chunks were answered by different versions, because a swap happened between them."""

    def __init__(self, versions: Sequence[int]) -> None:
        super().__init__(
            f"Versions {', '.join(map(str, versions))} answered parts of one prediction. "
            "Ask for one version, or read `versions` row by row."
        )


# --- targets ------------------------------------------------------------------------------------


class TargetError(EverfreshError):
    """A target that could not do what it was asked."""


class DeployFailed(TargetError):
    """A version that does not serve; what served before still does."""

    def __init__(self, model: str, version: int, target: str, why: str, serving: int | None) -> None:
        still = f"v{serving} still serves" if serving is not None else "nothing served before, and nothing does now"
        super().__init__(f"{model} v{version} was not deployed to {target}: {why}; {still}.")


class RemoveFailed(TargetError):
    """A model that goes on being served although it should not."""

    def __init__(self, model: str, target: str) -> None:
        super().__init__(f"{target} still serves {model!r}, or is still changing it. Try again; its log may say why.")


class NotServing(TargetError):
    """A question to a target about a model that it does not serve."""

    def __init__(self, model: str, target: str) -> None:
        super().__init__(f"{target} does not serve {model!r}. Run `everfresh deploy {model}`.")


class ReadBackFailed(TargetError):
    """A target that says it serves a version and answers otherwise."""

    def __init__(self, model: str, version: int, target: str, why: str) -> None:
        super().__init__(f"{model} v{version} on {target} does not answer as it must: {why}.")


# --- stack --------------------------------------------------------------------------------------


class StackError(EverfreshError):
    """Prefect, MLflow or the inference server could not be started or reached."""


class PortTaken(StackError):
    """Something else listens where a server should; `why` is what the system says."""

    def __init__(
        self, what: str, port: int, remedy: str, *, host: str = "127.0.0.1", why: str = "another program has it"
    ) -> None:
        super().__init__(f"{what} cannot listen on {host}:{port}: {why}. {remedy}")


class ProcessDied(StackError):
    """A part of the stack ended before it answered."""

    def __init__(self, what: str, log: Path, last_line: str) -> None:
        super().__init__(f"{what} ended before it was ready: {last_line or 'it printed nothing'}. Its log is {log}.")


class NotReady(StackError):
    """A part of the stack did not answer in time."""

    def __init__(self, what: str, seconds: float, log: Path) -> None:
        super().__init__(f"{what} did not answer within {seconds:.0f} s. Its log is {log}.")


class PrefectUnreachable(StackError):
    """The Prefect server that the environment names does not answer."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"Prefect at {url} cannot be reached. Start it, or unset PREFECT_API_URL to use this machine's."
        )


class PrefectRefused(StackError):
    """A Prefect server that answers, and does not do what it was asked."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"Prefect at {url} did not do what it was asked: {why}.")


class DeploymentFailed(StackError):
    """Prefect refused the flow deployments."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The flow deployments were not made: {why.rstrip('.')}. See deployments/prefect.yaml.")


class FlowsNotFound(StackError):
    """The flows travel as source, beside the wheel, and are not here."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"There is no flows/ in {root}. Run this in a checkout of everfresh, or set EVERFRESH_ROOT.")


# --- extras -------------------------------------------------------------------------------------


class MissingExtra(EverfreshError):
    """An optional dependency that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}. Install it with `pip install 'everfresh[{extra}]'`.")


# --- replay -------------------------------------------------------------------------------------


class ReplayError(EverfreshError):
    """A history that cannot be replayed."""


class CannotReplay(ReplayError):
    """A table without a history, or one that went wrong on the way."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The history cannot be replayed: {why}.")


class NotAReplay(ReplayError):
    """Versions that production may rely on stand where a replay would begin afresh."""

    def __init__(self, name: str, versions: Sequence[int]) -> None:
        listed = ", ".join(f"v{version}" for version in versions)
        super().__init__(
            f"{name!r} has versions that no replay made ({listed}), and a replay begins by removing what is there. "
            "Copy the spec, give the copy another name, and replay that."
        )
