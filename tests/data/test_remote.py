import base64
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pandas as pd
import pytest

from everfresh.data.files import read_files
from everfresh.data.remote import azure_options, file_system, s3_options
from everfresh.errors import SourceNotFound, SourceUnreachable, SourceUnreadable
from everfresh.spec.data import CsvSource, ParquetSource

FLIGHTS = pd.DataFrame({"flight_id": ["a", "b"], "distance": [300, 2475]})
ABFSS = "abfss://lake@acme.dfs.core.windows.net/flights.csv"


def read(url: str, environment: dict[str, str]) -> pd.DataFrame:
    source = ParquetSource(kind="parquet", path=url) if "parquet" in url else CsvSource(kind="csv", path=url)
    return read_files(source, folders=(), environment=environment)


# --- what the environment says ------------------------------------------------------------------


def test_s3_without_a_word_in_the_environment_is_left_to_aws() -> None:
    assert s3_options({}) == {}


def test_s3_takes_credentials_and_region_from_the_environment() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}

    assert s3_options(environment | {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_CA_BUNDLE": "/ca.pem"}) == {
        "access_key": "id",
        "secret_key": "secret",
        "session_token": "token",
        "region": "eu-central-1",
        "tls_ca_file_path": "/ca.pem",
    }


def test_an_s3_endpoint_of_its_own_wins_over_the_one_of_all_services() -> None:
    environment = {"AWS_ENDPOINT_URL": "https://all:1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000"}

    assert s3_options(environment) == {
        "scheme": "http",
        "endpoint_override": "127.0.0.1:9000",
        "region": "us-east-1",
    }


def test_an_azure_account_in_the_address_signs_in_with_the_default_credential() -> None:
    assert azure_options(ABFSS, {}) == {"account_name": "acme"}


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({"AZURE_STORAGE_ACCOUNT_KEY": "k"}, {"account_key": "k"}),
        ({"AZURE_STORAGE_SAS_TOKEN": "s"}, {"sas_token": "s"}),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "acme", "AZURE_STORAGE_ACCOUNT_KEY": "k"}, {"account_key": "k"}),
        ({"AZURE_STORAGE_CONNECTION_STRING": "AccountName=acme;AccountKey=a=b=="}, {"account_key": "a=b=="}),
        ({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}, {}),
        (
            {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"},
            {"tenant_id": "t", "client_id": "c", "client_secret": "s"},
        ),
    ],
)
def test_azure_takes_its_keys_from_the_environment(environment: dict[str, str], options: dict[str, str]) -> None:
    assert azure_options(ABFSS, environment) == {"account_name": "acme"} | options


def test_the_key_of_another_account_is_not_shown_to_this_one() -> None:
    environment = {"AZURE_STORAGE_ACCOUNT_NAME": "other", "AZURE_STORAGE_ACCOUNT_KEY": "theirs"}

    assert azure_options(ABFSS, environment) == {"account_name": "acme"}


def test_an_address_without_an_account_takes_the_one_of_the_environment() -> None:
    assert azure_options("abfss://lake/x.csv", {"AZURE_STORAGE_ACCOUNT_NAME": "acme"}) == {"account_name": "acme"}
    with pytest.raises(SourceUnreadable, match="no storage account is named: write abfss://container@account"):
        azure_options("abfss://lake/x.csv", {})


def test_an_emulator_is_where_the_connection_string_says() -> None:
    connection = "AccountName=acme;AccountKey=k;BlobEndpoint=http://127.0.0.1:10000/acme;"

    assert azure_options(ABFSS, {"AZURE_STORAGE_CONNECTION_STRING": connection}) == {
        "account_name": "acme",
        "account_key": "k",
        "blob_storage_authority": "127.0.0.1:10000",
        "blob_storage_scheme": "http",
        "dfs_storage_authority": "127.0.0.1:10000",
        "dfs_storage_scheme": "http",
    }


def test_a_connection_string_of_the_public_cloud_changes_no_address() -> None:
    connection = "AccountName=acme;AccountKey=k;BlobEndpoint=https://acme.blob.core.windows.net/"

    assert azure_options(ABFSS, {"AZURE_STORAGE_CONNECTION_STRING": connection}) == {
        "account_name": "acme",
        "account_key": "k",
    }


def test_another_cloud_has_other_addresses() -> None:
    assert azure_options("abfss://lake@acme.dfs.core.chinacloudapi.cn/x.csv", {}) == {
        "account_name": "acme",
        "blob_storage_authority": ".blob.core.chinacloudapi.cn",
        "dfs_storage_authority": ".dfs.core.chinacloudapi.cn",
    }


def test_an_address_that_nothing_reads_says_what_is_read() -> None:
    with pytest.raises(SourceUnreadable, match=r"nothing here reads gs://; there are s3:// and abfss://"):
        read("gs://lake/x.csv", {})


def test_a_secret_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SourceUnreadable) as caught:
        file_system("s3://id:hunter2@lake/x.csv", {})

    assert "a spec holds no secret" in str(caught.value)
    assert "hunter2" not in str(caught.value)


# --- S3, as moto has it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_environment() -> Iterator[dict[str, str]]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="eu-central-1",
        aws_access_key_id="id",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, rows in (("y=2013/a", FLIGHTS.head(1)), ("y=2014/b", FLIGHTS.tail(1)), ("all", FLIGHTS)):
        client.put_object(Bucket="lake", Key=f"flights/{key}.csv", Body=rows.to_csv(index=False).encode())
        client.put_object(Bucket="lake", Key=f"flights/{key}.parquet", Body=rows.to_parquet())
    client.put_object(Bucket="lake", Key="flights/_SUCCESS.csv", Body=b"")
    yield environment
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_in_s3_is_read_as_one_here(s3_environment: dict[str, str], kind: str) -> None:
    pd.testing.assert_frame_equal(read(f"s3://lake/flights/all.{kind}", s3_environment), FLIGHTS)


@pytest.mark.slow
def test_a_pattern_in_s3_finds_what_it_finds_here(s3_environment: dict[str, str]) -> None:
    table = read("s3://lake/flights/*/*.parquet", s3_environment)

    assert table["flight_id"].tolist() == ["a", "b"]
    assert table["y"].tolist() == ["2013", "2014"]
    assert len(read("s3://lake/flights/*.csv", s3_environment)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("url", ["s3://lake/flights/nothing.csv", "s3://lake/nothing/*.csv", "s3://nowhere/x.csv"])
def test_what_is_not_in_s3_is_not_found(s3_environment: dict[str, str], url: str) -> None:
    with pytest.raises(SourceNotFound, match="No table at 's3://"):
        read(url, s3_environment)


@pytest.mark.slow
def test_a_folder_in_s3_is_no_table(s3_environment: dict[str, str]) -> None:
    with pytest.raises(SourceUnreadable, match="it is a folder"):
        read("s3://lake/flights", s3_environment)


@pytest.mark.slow
def test_an_s3_that_does_not_answer_may_do_so_later(s3_environment: dict[str, str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    environment = s3_environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}

    with pytest.raises(SourceUnreachable, match=r"'s3://lake/x\.csv' could not be read: OSError") as caught:
        read("s3://lake/x.csv", environment)
    assert caught.value.may_heal


# --- Azure, as Azurite has it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def azure_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on PATH: `npm install --global azurite` brings it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = base64.b64encode(b"k" * 64).decode()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--silent"]
    folder = tmp_path_factory.mktemp("azurite")
    server = subprocess.Popen(
        [*command, "--location", str(folder), "--disableTelemetry"],
        env=os.environ | {"AZURITE_ACCOUNTS": f"acme:{key}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        endpoint = f"http://127.0.0.1:{port}/acme"
        connection = f"DefaultEndpointsProtocol=http;AccountName=acme;AccountKey={key};BlobEndpoint={endpoint};"
        environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
        _fill(environment)
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "azurite-blob ended"
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("azurite-blob did not listen within 30 seconds")


def _fill(environment: dict[str, str]) -> None:
    system, _ = file_system(ABFSS, environment)
    system.create_dir("lake")
    for key, rows in (("y=2013/a", FLIGHTS.head(1)), ("y=2014/b", FLIGHTS.tail(1)), ("all", FLIGHTS)):
        for ending, content in (("csv", rows.to_csv(index=False).encode()), ("parquet", rows.to_parquet())):
            with system.open_output_stream(f"lake/flights/{key}.{ending}") as blob:
                blob.write(content)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("scheme", ["abfss", "wasbs"])
def test_a_table_in_azure_is_read_as_one_here(azure_environment: dict[str, str], scheme: str, kind: str) -> None:
    url = f"{scheme}://lake@acme.dfs.core.windows.net/flights/all.{kind}"

    pd.testing.assert_frame_equal(read(url, azure_environment), FLIGHTS)


@pytest.mark.slow
def test_a_pattern_in_azure_finds_what_it_finds_here(azure_environment: dict[str, str]) -> None:
    table = read("abfss://lake@acme.dfs.core.windows.net/flights/*/*.parquet", azure_environment)

    assert table["flight_id"].tolist() == ["a", "b"]
    assert table["y"].tolist() == ["2013", "2014"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["lake@acme.dfs.core.windows.net/nothing.csv", "lake/nothing/*.csv"])
def test_what_is_not_in_azure_is_not_found(azure_environment: dict[str, str], path: str) -> None:
    with pytest.raises(SourceNotFound, match="No table at 'abfss://"):
        read(f"abfss://{path}", azure_environment)


@pytest.mark.slow
def test_a_key_that_azure_does_not_know_is_told(azure_environment: dict[str, str]) -> None:
    known = azure_environment["AZURE_STORAGE_CONNECTION_STRING"]
    wrong = known.replace("AccountKey=" + base64.b64encode(b"k" * 64).decode(), "AccountKey=" + "a" * 88)

    with pytest.raises(SourceUnreadable, match=r"abfss://.*could not be read: OSError"):
        read(ABFSS, {"AZURE_STORAGE_CONNECTION_STRING": wrong})
