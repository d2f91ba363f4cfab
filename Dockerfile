# One recipe for every image; SERVICE picks the workspace member, and with it what is started:
#   docker build --build-arg SERVICE=api .          REST and the inbox page; also runs the migration
#   docker build --build-arg SERVICE=sync-worker .  the sync-worker; also runs the watcher
#   docker build --build-arg SERVICE=gateway .      Socket.IO
# The demo's feeder and seed stand on the worker's image: --build-arg SERVICE=sync-worker --target demo
ARG SERVICE=api
ARG PYTHON=3.13

FROM ghcr.io/astral-sh/uv:0.13 AS uv

FROM node:22-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
COPY web/hooks/package.json hooks/
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

FROM python:${PYTHON}-slim AS python
ENV PATH=/app/.venv/bin:$PATH VIRTUAL_ENV=/app/.venv

FROM python AS builder
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
WORKDIR /src
COPY --from=uv /uv /bin/uv

# Of what requirements.txt pins, the part that this service needs, by the hashes that stand there.
# Made again when the lock or a member's list of needs changes, not when code does.
FROM builder AS dependencies
COPY pyproject.toml requirements.txt ./
COPY shared/pyproject.toml shared/
ARG SERVICE
COPY services/${SERVICE}/pyproject.toml services/${SERVICE}/
# Left out: what litestar brings for its command line and for invented examples in the OpenAPI
# document. Nothing here loads either, and they are a fifth of the image.
RUN --mount=type=cache,target=/root/.cache/uv \
    cp requirements.txt needed.txt \
    && uv pip compile -q --generate-hashes --constraints requirements.txt -o needed.txt \
        --no-emit-package postwire --no-emit-package rich-click --no-emit-package rich \
        --no-emit-package pygments --no-emit-package polyfactory --no-emit-package faker \
        "services/$SERVICE/pyproject.toml" \
    && uv venv -q /app/.venv \
    && uv pip sync --require-hashes --compile-bytecode needed.txt

# Wheels come out the same bit for bit: only a member that changed makes a new layer of its image.
FROM builder AS wheels
COPY requirements-build.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv -q /app/.venv && uv pip sync --require-hashes requirements-build.txt
COPY shared/ shared/
COPY services/ services/
COPY demo/ demo/
ARG SERVICE
RUN build() { uv build -q --wheel --no-sources --no-build-isolation -o "$1" "$2"; } \
    && build /wheels/service shared \
    && build /wheels/service "services/$SERVICE" \
    && build /wheels/demo demo

FROM python AS runtime
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin postwire
COPY --from=dependencies /app/.venv /app/.venv
RUN --mount=from=uv,source=/uv,target=/bin/uv --mount=from=wheels,source=/wheels/service,target=/wheels \
    uv pip install --no-cache --no-deps --compile-bytecode /wheels/*.whl
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
ARG SERVICE
LABEL org.opencontainers.image.title="postwire-${SERVICE}" \
      org.opencontainers.image.description="Postwire keeps IMAP mailboxes in PostgreSQL and tells the browser" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM runtime AS api
COPY --from=web /web/dist /app/web
ENV POSTWIRE_WEB_DIR=/app/web
EXPOSE 8000 9100
CMD ["python", "-m", "postwire_api"]

FROM runtime AS sync-worker
EXPOSE 9100
CMD ["python", "-m", "postwire_worker"]

FROM runtime AS gateway
EXPOSE 8001 9100
CMD ["python", "-m", "postwire_gateway"]

FROM sync-worker AS demo
USER 0
# The seed calls the REST API, which the worker has no need to.
RUN --mount=from=uv,source=/uv,target=/bin/uv --mount=from=wheels,source=/wheels/demo,target=/wheels \
    --mount=type=bind,source=requirements.txt,target=/src/requirements.txt \
    cp /src/requirements.txt /tmp/needed.txt && echo httpx >/tmp/wanted.in \
    && uv pip compile -q --no-cache --generate-hashes \
        --constraints /src/requirements.txt -o /tmp/needed.txt /tmp/wanted.in \
    && uv pip install --no-cache --require-hashes --compile-bytecode -r /tmp/needed.txt \
    && uv pip install --no-cache --no-deps --compile-bytecode /wheels/*.whl \
    && rm /tmp/needed.txt /tmp/wanted.in
USER 10001:10001
LABEL org.opencontainers.image.title="postwire-demo"
CMD ["python", "-m", "postwire_demo.feeder"]

FROM ${SERVICE}
