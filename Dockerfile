# One file for every image; the target is the role:
#
#   docker build --target gateway -t interplay-gateway:0.1.0 .
#   docker build --target worker -t interplay-worker:0.1.0 .
#   docker build --target model-server --build-arg CAPABILITY=text_detection -t interplay-text-detection:0.1.0 .
#
# An image holds only the packages of its role's extra, at the versions of constraints.txt, and only
# that role's code. Gateway and worker carry no PyTorch.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GRPC_VERBOSITY=ERROR \
    PYTHONPATH=/app \
    PATH=/venv/bin:$PATH
RUN groupadd --gid 1000 interplay \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin interplay \
    && install --directory --owner=interplay --group=interplay /state /data /torchserve
WORKDIR /app

# Packages of one role. The project itself is not installed: its code is copied as the last layer,
# so that a change of code does not install everything again.
FROM python:3.11-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/venv/bin:$PATH
RUN python -m venv /venv
WORKDIR /build
COPY pyproject.toml constraints.txt README.md ./
COPY interplay/__init__.py interplay/__init__.py

FROM packages AS gateway-packages
RUN pip install --constraint constraints.txt '.[gateway]' && pip uninstall --yes interplay

FROM packages AS worker-packages
RUN pip install --constraint constraints.txt '.[worker]' && pip uninstall --yes interplay

# OpenCV without windows is the same code and needs no libGL.
FROM packages AS serving-packages
RUN pip install --constraint constraints.txt '.[serving]' && pip uninstall --yes interplay opencv-python \
    && pip install "opencv-python-headless==$(sed -n 's/^opencv-python==//p' constraints.txt)"

# TorchServe's archives hand their calls to this project's predictors, so its image has them, too.
FROM packages AS torchserve-packages
RUN pip install --constraint constraints.txt '.[serving,torchserve]' && pip uninstall --yes interplay opencv-python \
    && pip install "opencv-python-headless==$(sed -n 's/^opencv-python==//p' constraints.txt)"

FROM base AS gateway
COPY --from=gateway-packages /venv /venv
COPY interplay interplay
COPY gateway gateway
USER 1000:1000
ENV INTERPLAY_HOST=0.0.0.0 INTERPLAY_METRICS_HOST=0.0.0.0 INTERPLAY_STATE_DIR=/state
EXPOSE 8080 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-m", "interplay.launcher.probe", "http", "127.0.0.1", "8080", "/livez"]
ENTRYPOINT ["python", "-m", "gateway"]

FROM base AS worker
COPY --from=worker-packages /venv /venv
COPY interplay interplay
COPY services/__init__.py services/__init__.py
COPY services/worker services/worker
USER 1000:1000
ENV INTERPLAY_METRICS_HOST=0.0.0.0 INTERPLAY_STATE_DIR=/state INTERPLAY_LIVENESS_FILE=/tmp/worker-alive
EXPOSE 9110
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "services.worker.liveness"]
ENTRYPOINT ["python", "-m", "services.worker"]

FROM base AS model-server
ARG CAPABILITY
RUN test -n "$CAPABILITY" || { echo "say which: --build-arg CAPABILITY=text_detection"; exit 1; }
COPY --from=serving-packages /venv /venv
COPY interplay interplay
COPY services/__init__.py services/__init__.py
COPY services/${CAPABILITY} services/${CAPABILITY}
COPY model_store model_store
USER 1000:1000
# The ports are those of the capability table; the settings know them.
ENV CAPABILITY=${CAPABILITY} INTERPLAY_HOST=0.0.0.0 INTERPLAY_METRICS_HOST=0.0.0.0
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 \
    CMD python -m interplay.launcher.probe grpc "$CAPABILITY"
ENTRYPOINT ["sh", "-c", "exec python -m \"services.$CAPABILITY\""]

FROM base AS torchserve
COPY --from=torchserve-packages /venv /venv
COPY interplay interplay
COPY model_store model_store
USER 1000:1000
ENV INTERPLAY_TORCHSERVE_DIR=/torchserve
EXPOSE 7070
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 7070), 3)"]
ENTRYPOINT ["python", "-m", "interplay.launcher.torchserve"]
