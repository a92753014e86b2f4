from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.errors import ModelError, OutputExistsError
from edgeseg.measure.head import FLAGS
from edgeseg.network.task import Task
from edgeseg.output.table import columns
from edgeseg.segmenter import Segmenter
from edgeseg.serve.site import CONTENT_SECURITY_POLICY, export, site
from tests.fakes import LESIONS, FakeSession, bright_and_gray, open_fake


def test_the_engine_is_the_one_that_was_published() -> None:
    vendor = Path(site.__code__.co_filename).parent / "page" / "vendor"
    text = (vendor / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\S+)` \|.*\| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert len(rows) == 2
    for name, digest in rows:
        content = (vendor / name).read_bytes()
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        assert hashlib.sha256(plain).hexdigest() == digest
    assert "MIT License" in (vendor / "LICENSE").read_text("utf-8")
    assert b"Licensed" in gzip.decompress((vendor / "ThirdPartyNotices.txt.gz").read_bytes())


def test_the_site_is_whole_and_kept_under_a_name_of_its_content(
    nano: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = site(nano)
    page = assets["index.html"].content.decode()
    assert f'content="{CONTENT_SECURITY_POLICY}"' in page
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert name in assets
    for asset in assets.values():
        for name in re.findall(rb'^import .* from "\./([^"]+)";$', asset.content, re.MULTILINE):
            assert name.decode() in assets
    model = json.loads(assets["model.json"].content)
    assert model["sha256"] == hashlib.sha256(assets["model.onnx"].content).hexdigest()
    assert model["flags"] == dict(FLAGS)
    assert [column["name"] for column in model["columns"]] == list(columns(Task()))
    assert model["limits"]["view_shares"] == list(nano.metadata.limits.view_shares)
    assert assets["app.js"].content_type == "text/javascript; charset=utf-8"
    assert site(nano)["sw.js"].content == assets["sw.js"].content
    monkeypatch.setattr("edgeseg.serve.site.__version__", "9.9.9")
    assert site(nano)["sw.js"].content[:40] != assets["sw.js"].content[:40]


def test_all_files_are_written_and_nothing_else_is_touched(nano: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "site"
    written = export(out, nano, overwrite=False)
    assert sorted(written) == sorted(p for p in out.rglob("*") if p.is_file())
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in written} == {
        name: asset.content for name, asset in site(nano).items()
    }
    (out / "mine.txt").write_text("keep")
    (out / "index.html").write_text("old")
    with pytest.raises(OutputExistsError):
        export(out, nano, overwrite=False)
    assert (out / "index.html").read_text() == "old"
    export(out, nano, overwrite=True)
    assert (out / "mine.txt").read_text() == "keep"
    assert (out / "index.html").read_bytes() == site(nano)["index.html"].content


def test_a_model_that_the_page_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="8-bit integers"):
        site(Segmenter("hc18-edge-int8", device="cpu"))
    fake = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS))
    spots = replace(fake.metadata, task=replace(LESIONS.task, kind="spots"))
    monkeypatch.setattr(fake, "metadata", spots)
    with pytest.raises(ModelError, match="'spots'"):
        site(fake)
