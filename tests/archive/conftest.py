"""Seven images, three of them broken, listed in a manifest; a store of S3's kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from tests.archive.proxy import CuttingProxy
from tests.run.conftest import scans

__all__ = ["scans"]


@pytest.fixture
def plan(tmp_path: Path, scans: Path) -> Plan:
    """Four parts, of two images each but the last."""
    manifest = place_of(str(tmp_path / "m.parquet"))
    write_manifest([str(scans)], manifest, 0.2)
    return Plan(manifest.text, str(tmp_path / "out"), part_size=2)


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, int]]:
    """Host and port of a server; its bucket is ``archive``."""
    pytest.importorskip("moto.server")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**keys, "AWS_EC2_METADATA_DISABLED": "true"}.items():
                patch.setenv(name, value)
            client = boto3.client(
                "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
            )
            client.create_bucket(Bucket="archive")
            yield host, port
    finally:
        server.stop()


@pytest.fixture(scope="session")
def store(server: tuple[str, int]) -> str:
    """What follows the question mark in the server's URLs."""
    return "?endpoint_override={}:{}&scheme=http&region=us-east-1".format(*server)


@pytest.fixture
def proxy(server: tuple[str, int]) -> Iterator[CuttingProxy]:
    """A proxy of the server that cuts answers off."""
    with CuttingProxy(server) as proxy:
        yield proxy
