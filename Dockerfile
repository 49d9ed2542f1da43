# Build:  docker build -t router .
# Run:    docker run -v ./config/sidecar.yaml:/etc/router/router.yaml:ro -p 8080:8080 router
# tests/test_packaging.py runs these steps in a clean folder, so keep to COPY, RUN and plain shell.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/router
COPY constraints-runtime.txt ./
RUN /opt/router/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r constraints-runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY router router
RUN /opt/router/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/router --create-home router
COPY --from=build /opt/router /opt/router
ENV PATH=/opt/router/bin:$PATH PYTHONUNBUFFERED=1
USER router
# The event log, in data/events by default, belongs on a volume mounted here.
WORKDIR /var/lib/router
EXPOSE 8080
# The admin API listens on loopback, where only the container itself reaches it.
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/healthz', timeout=2)"]
ENTRYPOINT ["router"]
CMD ["serve", "/etc/router"]
