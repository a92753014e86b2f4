"""A folder of images listed in a manifest; seven images, three of them none, in parts of two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edgeseg.archive.making import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan


@pytest.fixture
def plan(tmp_path: Path, scans: Path) -> Plan:
    manifest = place_of(str(tmp_path / "m.parquet"))
    write_manifest([str(scans)], manifest, 0.2)
    return Plan(manifest.text, str(tmp_path / "out"), part_size=2)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The URL's question mark of a server; its bucket is ``archive``."""
    pytest.importorskip("moto.server")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        keys["AWS_EC2_METADATA_DISABLED"] = "true"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            client = boto3.client(
                "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1"
            )
            client.create_bucket(Bucket="archive")
            yield f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    finally:
        server.stop()
