"""The base job templates of the work pools, as far as that can be told without a cluster and without a cloud."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("kubernetes", "ecs", "aci")
PLACEHOLDER = re.compile(r"\{\{\s*(.+?)\s*\}\}")

# What must not be said in a template, nor be anybody's default.
UNSAFE = {"privileged", "hostNetwork", "hostPID", "hostIPC", "hostPath", "add", "ipAddress"}


def template(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "deployments" / folder / "base-job-template.json").read_text())
    return found


def variables(folder: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = template(folder)["variables"]["properties"]
    return found


def strings(value: Any) -> Iterator[str]:
    """Every string in it, keys and values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def placeholders(folder: str) -> set[str]:
    return {name for text in strings(template(folder)["job_configuration"]) for name in PLACEHOLDER.findall(text)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_template_is_a_job_and_its_variables(folder: str) -> None:
    found = template(folder)

    assert found.keys() == {"job_configuration", "variables"}
    assert found["variables"]["type"] == "object"
    assert {"command", "env", "labels", "name"} <= found["job_configuration"].keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_placeholder_is_a_variable_and_every_variable_has_a_place(folder: str) -> None:
    assert placeholders(folder) == variables(folder).keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_type_that_a_variable_refers_to_is_defined(folder: str) -> None:
    found = template(folder)["variables"]
    referred = re.findall(r'"\$ref": "#/definitions/(\w+)"', json.dumps(found))

    assert set(referred) <= found.get("definitions", {}).keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_nobody_runs_an_image_that_was_not_named(folder: str) -> None:
    required = template(folder)["variables"]["required"]

    assert "image" in required
    assert [name for name in required if "default" in variables(folder)[name]] == []
    # `null` or nothing would let the worker take an image of its own.
    assert variables(folder)["image"]["type"] == "string"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_job_may_do_what_a_job_need_not(folder: str) -> None:
    assert UNSAFE & set(strings(template(folder)["job_configuration"])) == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_template_holds_a_secret_or_a_tag_that_moves(folder: str) -> None:
    found = template(folder)
    secret = {
        name
        for definition in found["variables"].get("definitions", {}).values()
        for name in definition.get("secret_fields", [])
    }

    assert not [text for text in strings(found) if text.endswith(":latest") or ("://" in text and "@" in text)]
    assert secret & set(strings(found["job_configuration"])) == set()
    assert "default" not in variables(folder)["env"]
    for name, schema in variables(folder).items():
        if schema.get("format") == "password" or "secret" in name:
            # A reference to where a secret lies is no secret.
            assert schema.get("default") in (None, [], "everfresh-secrets"), name


def test_a_job_of_kubernetes_is_nobody_and_writes_nowhere_but_where_it_must(writable: list[str], user: int) -> None:
    manifest = template("kubernetes")["job_configuration"]["job_manifest"]
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert (manifest["apiVersion"], manifest["kind"], pod["restartPolicy"]) == ("batch/v1", "Job", "Never")
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == writable
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in pod["volumes"]]
    assert all(volume["emptyDir"]["sizeLimit"] == "{{ scratch_size }}" for volume in pod["volumes"])
    # Where the settings are not there, a pod does not start: it would train into its own file system.
    assert not [source for source in container["envFrom"] for ref in source.values() if ref.get("optional")]


@pytest.mark.parametrize("name", ["cpu_request", "cpu_limit", "memory_request", "memory_limit", "scratch_size"])
def test_what_a_job_of_kubernetes_may_take_is_a_quantity(name: str) -> None:
    assert re.fullmatch(r"\d+(m|Ki|Mi|Gi)?", variables("kubernetes")[name]["default"])


def test_a_task_of_ecs_is_nobody_and_writes_nowhere_but_where_it_must(writable: list[str], user: int) -> None:
    task = template("ecs")["job_configuration"]["task_definition"]
    [container] = task["containerDefinitions"]

    assert (container["user"], container["readonlyRootFilesystem"]) == (f"{user}:{user}", True)
    assert container["linuxParameters"] == {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}
    assert [mount["containerPath"] for mount in container["mountPoints"]] == writable
    assert [mount["sourceVolume"] for mount in container["mountPoints"]] == [
        volume["name"] for volume in task["volumes"]
    ]


def test_a_task_of_ecs_gets_a_network_from_a_person() -> None:
    # Left to itself, the worker takes the default network of the account, with an address on the internet.
    assert {"vpc_id", "network_configuration"} <= set(template("ecs")["variables"]["required"])


def test_a_container_of_azure_takes_no_entrypoint_of_prefects_image() -> None:
    # Empty rather than null: for null, the worker puts its own default in.
    assert variables("aci")["entrypoint"]["default"] == ""
    [group] = template("aci")["job_configuration"]["arm_template"]["resources"]
    assert (group["type"], group["properties"]["restartPolicy"]) == (
        "Microsoft.ContainerInstance/containerGroups",
        "Never",
    )
