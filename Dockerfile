# One image for everything of docker-compose.scaling.yml that is ours: Ray's nodes, nginx, the controller.
#   ENGINE=vllm|sim    which engine it carries; VLLM_BUILD=cpu|gpu which of vLLM's two builds
#   BASE_IMAGE         Python 3.11 to 3.13 on Debian; scripts/base-image makes one where none can be pulled
#   BUILD_IMAGE        the same with settings for pip, where those are needed; nothing of it is in the result
ARG BASE_IMAGE=python:3.11.14-slim-bookworm
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
ARG ENGINE=vllm
ARG VLLM_BUILD=cpu
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_HTTP_TIMEOUT=180 VIRTUAL_ENV=/opt/finsight
WORKDIR /src
COPY constraints.txt overrides.txt overrides-cpu.txt ./
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt uv \
    && python3 -m venv --without-pip /opt/finsight
COPY docker/install ./
# What is large and changes rarely has a layer of its own.
RUN ./install "ray[serve]" "$ENGINE" "$VLLM_BUILD"
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY runbooks runbooks
COPY plugins plugins
RUN ./install . "$ENGINE" "$VLLM_BUILD"

FROM ${BASE_IMAGE} AS serve
ARG ENGINE=vllm
ARG VLLM_BUILD=cpu
# What vLLM for CPU loads and no wheel carries. A base image may have it: this stage has no settings for a package index.
RUN if [ "$ENGINE-$VLLM_BUILD" = vllm-cpu ] && ! ldconfig -p | grep -q libnuma.so.1; then \
        apt-get update && apt-get install --yes --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/*; fi
RUN groupadd --gid 10001 finsight && useradd --uid 10001 --gid 10001 --home-dir /var/lib/finsight --no-create-home finsight \
    && for place in state models compiled token gcs; do \
        install --directory --mode=0700 --owner=10001 --group=10001 /var/lib/finsight/$place; done \
    && chmod 0750 /var/lib/finsight/token && chmod 0755 /var/lib/finsight/models
COPY --from=build /opt/finsight /opt/finsight
COPY docker/ray-node docker/answers /usr/local/bin/
ENV PATH=/opt/finsight/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/finsight \
    XDG_CACHE_HOME=/var/lib/finsight/models FS_STATE_DIR=/var/lib/finsight/state PYTHONUNBUFFERED=1
WORKDIR /etc/finsight
USER 10001:10001
CMD ["fs", "--help"]
