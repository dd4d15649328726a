"""A store on an object store: a local S3 server stands for the machines of others."""

from collections.abc import Iterator

import numpy as np
import pytest

from rlhf_core.errors import StoreError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.store import Store

VALUE = Evaluation(np.ones(3), np.ones(3, dtype=int))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("s3fs")
    server_of = pytest.importorskip("moto.server").ThreadedMotoServer
    import boto3
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = server_of("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    boto3.client("s3").create_bucket(Bucket="team")
    s3fs.S3FileSystem.clear_instance_cache()
    yield "s3://team/store"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_two_machines_share_what_one_of_them_writes(bucket: str) -> None:
    here = Store(bucket).create()
    there = Store(bucket).opened()
    assert there.recall("run/stage") is None
    ref = here.put(VALUE)
    assert here.put(VALUE) == ref
    here.remember("run/stage", {"refs": {"evaluation": ref}})
    assert there.recall("run/stage") == {"refs": {"evaluation": ref}}
    assert there.get(ref, Evaluation).returns.tolist() == [1, 1, 1]
    assert list(there.objects()) == [ref]
    assert not here.leftovers()
    there.save_checkpoint("run/stage", VALUE)
    assert isinstance(here.load_checkpoint("run/stage"), Evaluation)
    here.delete_checkpoint("run/stage")
    assert there.checkpoints() == []


def test_what_cannot_be_reached_is_one_error(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="there is no store at s3://team/elsewhere"):
        Store("s3://team/elsewhere").opened()
    with pytest.raises(StoreError, match=r"s3://nobody/store cannot be written: .*bucket"):
        Store("s3://nobody/store").create()


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(StoreError, match=r"pip install 'rlhf-flows\[s3\]'"):
        Store("s3://team/store")
