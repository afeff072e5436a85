"""Files in S3 and Azure: which file system a path means, and how the environment says to reach it.

pyarrow's own file systems do the talking: s3fs cannot be installed beside a current boto3. No function here makes a
request, but for the region of a bucket where the environment does not name one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from everfresh.errors import SourceUnreadable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_AZURE = ("abfss", "abfs", "wasbs", "wasb")
_PUBLIC_CLOUD = "core.windows.net"


def is_remote(path: str) -> bool:
    """Whether it is an address and not a path on this machine.

    >>> is_remote("s3://bucket/flights.csv"), is_remote("data/flights.csv")
    (True, False)
    """
    return "://" in path


def file_system(url: str, environment: Mapping[str, str]) -> tuple[FileSystem, str]:
    """The file system behind `url`, and the path inside it, which begins with the bucket or container.

    Raises:
        SourceUnreadable: nothing here reads such an address, or the environment lacks a part of it.
    """
    scheme, _, rest = url.partition("://")
    place, _, key = rest.partition("/")
    if scheme == "s3":
        return _s3(url, place, environment), f"{place}/{key}"
    if scheme in _AZURE:
        from pyarrow.fs import AzureFileSystem

        container = place.partition("@")[0]
        return AzureFileSystem(**azure_options(url, environment)), f"{container}/{key}"
    raise SourceUnreadable(url, f"nothing here reads {scheme}://; there are s3:// and abfss://")


def s3_options(environment: Mapping[str, str]) -> dict[str, Any]:
    """What pyarrow's S3 file system is told; credentials that the environment does not hold are AWS's own business."""
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    options = {
        "access_key": environment.get("AWS_ACCESS_KEY_ID"),
        "secret_key": environment.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": environment.get("AWS_SESSION_TOKEN"),
        "tls_ca_file_path": environment.get("AWS_CA_BUNDLE"),
        # A server of one's own has no regions, but the signature needs one.
        "region": region or ("us-east-1" if endpoint else None),
    }
    if endpoint:
        parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options |= {"scheme": parts.scheme, "endpoint_override": parts.netloc}
    return {name: value for name, value in options.items() if value}


def azure_options(url: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What pyarrow's Azure file system is told about the account in `url`, or else the environment's.

    Keys are taken from AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING if they
    belong to that account; without them, Azure's default credential signs in. The BlobEndpoint of a connection string
    is where an emulator listens.

    Raises:
        SourceUnreadable: neither names an account.
    """
    host = url.partition("://")[2].partition("/")[0].partition("@")[2]
    connection = _connection(environment.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    named = connection.get("AccountName") or environment.get("AZURE_STORAGE_ACCOUNT_NAME")
    account, _, service = host.partition(".")
    if not (account or named):
        raise SourceUnreadable(
            url,
            "no storage account is named: write abfss://container@account.dfs.core.windows.net/path, or set "
            "AZURE_STORAGE_ACCOUNT_NAME",
        )
    is_ours = named is None or account in ("", named)
    options = {"account_name": account or named} | _cloud(service.partition(".")[2])
    if is_ours:
        options |= _azure_keys(connection, environment) | _emulator(connection.get("BlobEndpoint", ""))
    return {name: value for name, value in options.items() if value}


def _s3(url: str, bucket: str, environment: Mapping[str, str]) -> FileSystem:
    from pyarrow.fs import S3FileSystem, resolve_s3_region

    if "@" in bucket:
        raise SourceUnreadable(
            f"s3://...@{bucket.rpartition('@')[2]}", "a spec holds no secret: credentials come from AWS"
        )
    options = s3_options(environment)
    if "region" not in options:
        try:
            options["region"] = resolve_s3_region(bucket)
        except OSError:  # private clouds, no network: AWS's own profile may know it
            return S3FileSystem(**options)
    return S3FileSystem(**options)


def _azure_keys(connection: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str | None]:
    key = connection.get("AccountKey") or environment.get("AZURE_STORAGE_ACCOUNT_KEY")
    token = connection.get("SharedAccessSignature") or environment.get("AZURE_STORAGE_SAS_TOKEN")
    if key or token:
        return {"account_key": key} if key else {"sas_token": token}
    names = ("tenant_id", "client_id", "client_secret")
    person = {name: environment.get(f"AZURE_{name.upper()}") for name in names}
    return person if all(person.values()) else {}


def _cloud(suffix: str) -> dict[str, str | None]:
    """The addresses of a cloud of its own, as in China."""
    if suffix in ("", _PUBLIC_CLOUD):
        return {}
    return {"blob_storage_authority": f".blob.{suffix}", "dfs_storage_authority": f".dfs.{suffix}"}


def _emulator(endpoint: str) -> dict[str, str | None]:
    parts = urlsplit(endpoint)
    if not parts.netloc or parts.hostname is None or parts.hostname.endswith(_PUBLIC_CLOUD):
        return {}
    return {
        "blob_storage_authority": parts.netloc,
        "blob_storage_scheme": parts.scheme,
        "dfs_storage_authority": parts.netloc,
        "dfs_storage_scheme": parts.scheme,
    }


def _connection(text: str) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
