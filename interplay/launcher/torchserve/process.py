"""The configuration and the command of a TorchServe, and its start.

What is set is the safe side of TorchServe's options. Its model API stays off, so nobody can register code at
run time; every call needs the token of the key file, which only its owner may read; all addresses but that of
gRPC inference are of the loopback, on ports that the kernel chose; models come from the local archives alone;
workers do not see variables that sound like secrets.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from interplay.launcher.ports import free_ports
from interplay.launcher.torchserve.archive import package_model, servable
from interplay.launcher.torchserve.extra import check_extra, java_path, torchserve_home
from interplay.launcher.torchserve.settings import KEY_FILE, MAX_BATCH_BYTES, TorchServeProcessSettings
from interplay.store import Manifest

# The token's life: TorchServe makes a new one when it is started, and nothing here renews one in between.
_TOKEN_MINUTES = 10 * 365 * 24 * 60
_SECRETS = ".*(?i:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_KEY|ACCESS_KEY|REDIS_URL|DATABASE_URL).*"
# A Unix socket's path has 107 characters at most, and TorchServe puts its own under the scratch folder.
_LONGEST_SCRATCH = 80


def prepare(settings: TorchServeProcessSettings) -> tuple[list[str], dict[str, str]]:
    """Package the models and write the configuration.

    Returns:
        The command, to be run in ``settings.torchserve_dir``, and its environment.

    Raises:
        Unavailable: The extra ``torchserve`` is not installed.
        NotFound: The store has nothing to serve.
    """
    check_extra()
    directory = settings.torchserve_dir
    archives = directory / "archives"
    shutil.rmtree(archives, ignore_errors=True)
    (directory / KEY_FILE).unlink(missing_ok=True)
    models = servable(settings.model_store, settings.torchserve_capabilities)
    for manifest in models:
        package_model(settings.model_store, manifest.name, archives)
    scratch = _scratch(directory)
    config = directory / "config.properties"
    config.write_text(properties(settings, models, archives))
    logging = directory / "log4j2.properties"
    logging.write_text(_LOGGING)
    home = torchserve_home()
    command = [
        str(java_path()),
        f"-Xmx{settings.torchserve_heap_mb}m",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        f"-Dlog4j.configurationFile=file://{logging}",
        f"-Dmodel_server_home={home}",
        f"-Djava.io.tmpdir={scratch}",
        "-cp", f"{home}/ts/frontend/*",
        "org.pytorch.serve.ModelServer",
        "--python", sys.executable,
        "-f", str(config),
        "-s", str(archives),
        "-ncs",
    ]  # fmt: skip
    environment = {
        # Workers share the cores: the idle threads of one must not spin while another works.
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        "INTERPLAY_DEVICE": settings.device,
        "INTERPLAY_LOG_LEVEL": settings.log_level,
        **({"INTERPLAY_THREADS": str(settings.threads)} if settings.threads else {}),
    }
    return command, environment


# One stream, without TorchServe's five lines a request.
_LOGGING = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} [%-5p] %t %c{1} - %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.worker.name=MODEL_LOG
logger.worker.level=info
logger.server.name=org.pytorch.serve.ModelServer
logger.server.level=info
"""


def properties(settings: TorchServeProcessSettings, models: list[Manifest], archives: Path) -> str:
    """The text of TorchServe's ``config.properties``."""
    http, management, metrics, management_grpc, workers = free_ports(5)
    values = {
        "grpc_inference_address": settings.torchserve_host,
        "grpc_inference_port": settings.torchserve_port,
        "grpc_management_address": "127.0.0.1",
        "grpc_management_port": management_grpc,
        "inference_address": f"http://127.0.0.1:{http}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "disable_token_authorization": "false",
        "token_expiration_min": _TOKEN_MINUTES,
        "enable_model_api": "false",
        "enable_envvars_config": "false",
        "install_py_dep_per_model": "false",
        "allowed_urls": f"file://{archives}/.*",
        "blacklist_env_vars": _SECRETS,
        "enable_metrics_api": "false",
        "disable_system_metrics": "true",
        "load_models": ",".join(f"{m.name}={m.name}.mar" for m in models),
        "default_workers_per_model": 1,
        "job_queue_size": 32,
        "initial_worker_port": workers,
        "max_request_size": MAX_BATCH_BYTES + 1024 * 1024,
        "max_response_size": MAX_BATCH_BYTES + 1024 * 1024,
        "default_response_timeout": 300,
        "default_startup_timeout": 300,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _scratch(directory: Path) -> Path:
    """An empty folder for TorchServe's sockets and unpacked archives."""
    scratch = directory / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    if len(str(scratch)) > _LONGEST_SCRATCH:
        return Path(tempfile.mkdtemp(prefix="interplay-torchserve-"))
    scratch.mkdir(parents=True)
    return scratch
