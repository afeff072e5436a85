"""What Prefect's own workers make of the base job templates.

Their packages are not among this project's: they belong beside a worker, wherever that runs. With them, in an
environment of its own, these tests run; without them they skip:

    pip install prefect==3.8.8 'fastapi<0.151' 'sqlalchemy<2.1' prefect-kubernetes==0.8.0 prefect-aws==0.7.12 \
        prefect-azure==0.4.13 'moto[ec2,ecs]' pydantic pyyaml pytest pytest-timeout
"""

from __future__ import annotations

import asyncio
import json
import uuid
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example.org/everfresh:0.1.0"
COMMAND = ["prefect", "flow-run", "execute"]
FLOW_RUN = SimpleNamespace(
    id=uuid.UUID(int=7), name="train-flights", deployment_id=uuid.UUID(int=8), flow_id=uuid.UUID(int=9)
)

# Of Prefect's own: it deprecates what its templates still hold.
pytestmark = pytest.mark.filterwarnings("default")


def template(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "deployments" / folder / "base-job-template.json").read_text())
    return found


def prepared(kind: Any, folder: str, **values: Any) -> Any:
    """The job of a flow run on such a pool, with these values for the template's variables."""
    configuration = asyncio.run(
        kind.from_template_and_values(template(folder), {"image": IMAGE, **values}, client=SimpleNamespace())
    )
    configuration.prepare_for_flow_run(FLOW_RUN)
    return configuration


def added(ours: Any, theirs: Any, at: str = "") -> set[str]:
    """Where ours says more, or something else."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        assert theirs.keys() <= ours.keys(), f"{at} has lost {theirs.keys() - ours.keys()}"
        return {
            each
            for key in ours
            for each in (added(ours[key], theirs[key], f"{at}.{key}") if key in theirs else {f"{at}.{key}"})
        }
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return {each for mine, other in zip(ours, theirs, strict=True) for each in added(mine, other, at)}
    return set() if ours == theirs else {at}


# --- Kubernetes ---------------------------------------------------------------------------------


@pytest.fixture
def kubernetes() -> Any:
    return pytest.importorskip("prefect_kubernetes.worker", exc_type=ImportError)


def test_a_job_of_kubernetes_is_ours_and_runs_the_flow(kubernetes: Any) -> None:
    job = prepared(kubernetes.KubernetesWorkerJobConfiguration, "kubernetes", env={"EVERFRESH_MODE": "production"})
    pod = job.job_manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert (container["image"], container["args"]) == (IMAGE, COMMAND)
    assert {"name": "EVERFRESH_MODE", "value": "production"} in container["env"]
    assert [next(iter(source.values()))["name"] for source in container["envFrom"]] == [
        "everfresh-settings",
        "everfresh-secrets",
    ]
    assert pod["volumes"][0]["emptyDir"]["sizeLimit"] == "10Gi"
    assert "serviceAccountName" not in pod
    assert "{{" not in json.dumps(job.job_manifest)


def test_kubernetes_knows_every_field_of_the_manifest(kubernetes: Any) -> None:
    from kubernetes_asyncio.client import ApiClient

    manifest = prepared(kubernetes.KubernetesWorkerJobConfiguration, "kubernetes").job_manifest
    client = ApiClient.__new__(ApiClient)  # only what it knows of the types is asked, and no cluster
    client.configuration = SimpleNamespace(date_format="", datetime_format="", client_side_validation=True)
    known = client.sanitize_for_serialization(client._ApiClient__deserialize(manifest, "V1Job"))
    # Prefect's own template has these two in the pod, where they are not known, and its worker insists on them there.
    for name in ("completions", "parallelism"):
        assert manifest["spec"]["template"]["spec"].pop(name) == 1
    assert added(manifest, known) == set()


def test_the_template_of_kubernetes_changes_what_the_readme_says(kubernetes: Any) -> None:
    theirs = kubernetes.KubernetesWorker.get_default_base_job_template()["job_configuration"]
    pod = ".job_manifest.spec.template.spec"
    assert added(template("kubernetes")["job_configuration"], theirs) == {
        f"{pod}.automountServiceAccountToken",
        f"{pod}.containers.envFrom",
        f"{pod}.containers.securityContext",
        f"{pod}.containers.volumeMounts",
        f"{pod}.enableServiceLinks",
        f"{pod}.securityContext",
        f"{pod}.volumes",
    }


# --- ECS ----------------------------------------------------------------------------------------


@pytest.fixture
def ecs() -> Any:
    found = pytest.importorskip("prefect_aws.workers.ecs_worker", exc_type=ImportError)
    pytest.importorskip("moto.ecs", exc_type=ImportError)
    return found


def test_ecs_takes_the_task_and_runs_it(ecs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto import mock_aws

    for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mlflow"
    with mock_aws():
        boto3.client("ecs").create_cluster(clusterName="jobs")
        [subnet, *_] = boto3.client("ec2").describe_subnets()["Subnets"]
        network = {"subnets": [subnet["SubnetId"]], "securityGroups": [], "assignPublicIp": "DISABLED"}
        job = prepared(
            ecs.ECSJobConfiguration,
            "ecs",
            cluster="jobs",
            execution_role_arn="arn:aws:iam::123456789012:role/pulls",
            task_role_arn="arn:aws:iam::123456789012:role/everfresh",
            vpc_id=subnet["VpcId"],
            network_configuration=network,
            secrets=[{"name": "MLFLOW_TRACKING_URI", "valueFrom": secret}],
            env={"EVERFRESH_ARTIFACTS": "s3://lake/mlflow"},
        )
        worker = ecs.ECSWorker.__new__(ecs.ECSWorker)
        worker._logger, worker._work_pool_name = SimpleNamespace(warning=print), "everfresh-ecs"
        logger = SimpleNamespace(info=print, debug=str, warning=print)
        client = boto3.client("ecs")
        asked = {}
        monkeypatch.setattr(
            ecs.ECSWorker,
            "_create_task_run",
            lambda _, client, request: asked.update(request) or {"taskArn": "", "clusterArn": ""},
        )
        worker._prepare_and_create_task(logger, client, job, FLOW_RUN)
        task = client.describe_task_definition(taskDefinition=asked["taskDefinition"])["taskDefinition"]

    [container] = task["containerDefinitions"]
    [override] = asked["overrides"]["containerOverrides"]
    assert (container["image"], override["command"]) == (IMAGE, COMMAND)
    assert container["secrets"] == [{"name": "MLFLOW_TRACKING_URI", "valueFrom": secret}]
    assert container["readonlyRootFilesystem"] is True
    assert [mount["readOnly"] for mount in container["mountPoints"]] == [False, False]
    assert {"name": "EVERFRESH_ARTIFACTS", "value": "s3://lake/mlflow"} in override["environment"]
    assert asked["networkConfiguration"] == {"awsvpcConfiguration": network}
    assert (task["cpu"], task["memory"], task["networkMode"]) == ("2048", "8192", "awsvpc")
    assert "{{" not in json.dumps([task, asked], default=str)


def test_a_task_without_secrets_names_none(ecs: Any) -> None:
    job = prepared(ecs.ECSJobConfiguration, "ecs", execution_role_arn="arn:aws:iam::123456789012:role/pulls")
    worker = ecs.ECSWorker.__new__(ecs.ECSWorker)
    worker._work_pool_name = "everfresh-ecs"

    [container] = worker._prepare_task_definition(job, "eu-central-1", FLOW_RUN)["containerDefinitions"]
    assert "secrets" not in container
    assert container["logConfiguration"]["options"]["awslogs-stream-prefix"] == "everfresh"


def test_the_template_of_ecs_changes_what_the_readme_says(ecs: Any) -> None:
    theirs = ecs.ECSWorker.get_default_base_job_template()["job_configuration"]
    container = ".task_definition.containerDefinitions"
    assert added(template("ecs")["job_configuration"], theirs) == {
        f"{container}.linuxParameters",
        f"{container}.mountPoints",
        f"{container}.readonlyRootFilesystem",
        f"{container}.secrets",
        f"{container}.user",
        ".task_definition.volumes",
    }


# --- Azure Container Instances ------------------------------------------------------------------


@pytest.fixture
def aci() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("prefect_azure.workers.container_instance", exc_type=ImportError)


def test_a_container_group_of_azure_is_ours_and_runs_the_flow(aci: Any) -> None:
    job = prepared(
        aci.AzureContainerJobConfiguration,
        "aci",
        resource_group_name="ml",
        subscription_id="00000000-0000-0000-0000-000000000000",
        env={"EVERFRESH_ARTIFACTS": "wasbs://lake@acme.blob.core.windows.net", "PREFECT_API_KEY": "hidden"},
    )
    [group] = job.arm_template["resources"]
    [container] = group["properties"]["containers"]
    environment = {each["name"]: each for each in container["properties"]["environmentVariables"]}

    assert (container["properties"]["image"], container["properties"]["command"]) == (IMAGE, COMMAND)
    assert container["properties"]["resources"]["requests"] == {"cpu": 2.0, "memoryInGB": 8.0}
    assert environment["EVERFRESH_ARTIFACTS"]["value"] == "wasbs://lake@acme.blob.core.windows.net"
    assert environment["PREFECT_API_KEY"] == {"name": "PREFECT_API_KEY", "secureValue": "hidden"}
    assert "{{" not in json.dumps(job.arm_template)


def test_the_template_of_azure_is_the_workers_own(aci: Any) -> None:
    theirs = aci.AzureContainerWorker.get_default_base_job_template()["job_configuration"]
    assert added(template("aci")["job_configuration"], theirs) == set()
