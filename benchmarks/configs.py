"""What each proxy is told to do: configuration text for one case, and the command that runs it.

Responsible for: the same job in five configuration languages — pass everything on port ``listen`` to the backend, with
connections kept on both sides and one worker — and one sentence on what is switched on in each.
Does not know: how a proxy is loaded or measured.

Rules: nothing is switched off that a proxy does by default except logs, which each row names; bodies are streamed, not
spooled; limits are raised only where a case would hit them (10,000 connections, bodies of 1 MiB).
"""

import json
import os
from pathlib import Path

import msgspec

# As root, nginx's workers would become `nobody` and could not read our folders.
USER = "user root;\n" if os.geteuid() == 0 else ""

ENVOY_LOG = {
    "time": "%START_TIME%",
    "id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "duration": "%DURATION%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "target": "%UPSTREAM_CLUSTER%",
    "endpoint": "%UPSTREAM_HOST%",
    "unit": "%REQ(X-USER-ID)%",
}

LARGE = "/v2/models/ranker/large"
UPLOAD = "/v2/models/ranker/upload"

WHAT_IS_ON = {
    "nginx": "one upstream, no split, no log, streaming both ways",
    "haproxy": "one backend, no split, no log",
    "envoy": "weighted clusters 95/5 (random, not sticky), no access log, default stats",
    "envoy-matched": "weighted clusters 95/5 sticky by hash of x-user-id, JSON access log of 12 fields, default stats",
    "router": "95/5 experiment sticky by x-user-id, event log, metrics, x-request-id to the caller, admin API",
}
MIRROR_IS_ON = (
    "Each as above, and with every request copied to a second target, which is the same backend: nginx by `mirror` (it "
    "buffers the body for that), Envoy by `request_mirror_policies` at 100 %, the router by `shadow` at 100 % with "
    "every answer compared and logged as an event. *copies* is how many requests more than its own the backend got."
)
COUNT = "/count"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a proxy listens, what is behind it, its folder and command, and whether it is to copy every request.

    For the router also how large its table is.
    """

    listen: int
    backend: int
    folder: Path
    program: str
    admin: int
    routes: int = 1
    experiments: int = 1
    mirror: bool = False


def write(name: str, setting: Setting) -> list[str]:
    """Write a proxy's configuration into its folder; return the command that runs it in the foreground."""
    setting.folder.mkdir(parents=True, exist_ok=True)
    if name == "nginx":
        path = put(setting, "nginx.conf", nginx(setting))
        return [setting.program, "-p", str(setting.folder), "-c", str(path), "-g", "daemon off;"]
    if name == "haproxy":
        return [setting.program, "-db", "-f", str(put(setting, "haproxy.cfg", haproxy(setting)))]
    if name in ("envoy", "envoy-matched"):
        path = put(setting, f"{name}.json", json.dumps(envoy(setting, matched=name == "envoy-matched"), indent=1))
        return [setting.program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    if name == "router":
        setting.folder.joinpath("events").mkdir(exist_ok=True)
        return [*setting.program.split(), "serve", str(put(setting, "router.yaml", router(setting)))]
    raise ValueError(f"no configuration for {name}")


def put(setting: Setting, name: str, text: str) -> Path:
    """Write one file into the folder of a proxy."""
    path = setting.folder / name
    path.write_text(text)
    return path


def backend(port: int, folder: Path) -> str:
    """Return the nginx configuration of the backend: 487 bytes of JSON, or a mebibyte at ``LARGE``.

    `return` answers before it has read the body, as no model server does; at ``UPLOAD`` the body is read first, by
    passing the request on to ourselves without it.
    """
    answer = json.dumps({"model_name": "ranker", "outputs": [{"name": "scores", "data": ["0.0123456789"] * 100}]})
    large = folder / "large"
    if not large.exists():
        large.write_bytes(bytes(range(256)) * 4096)
    return f"""\
{USER}worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  default_type application/json;
  {temporary(folder)}
  upstream self {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = {COUNT} {{ stub_status; }}
    location / {{ return 200 '{answer[:485]}}}'; }}
    location = {LARGE} {{ alias {large}; }}
    location = {UPLOAD} {{
      client_body_buffer_size 2m;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_http_version 1.1;
      proxy_pass http://self/;
    }}
  }}
}}
"""


def temporary(folder: Path) -> str:
    """Return nginx's directives that keep its temporary folders inside ours."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def nginx(setting: Setting) -> str:
    """Return nginx's configuration as a streaming proxy with kept upstream connections."""
    passed = """\
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Request-Id $request_id;
      proxy_buffering off;
      proxy_max_temp_file_size 0;"""
    copied = f"mirror /copy;\n{passed}" if setting.mirror else f"{passed}\n      proxy_request_buffering off;"
    copies = f"location = /copy {{ internal; proxy_pass http://model$request_uri;\n{passed}\n    }}"
    return f"""\
{USER}worker_processes 1;
pid {setting.folder}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  {temporary(setting.folder)}
  upstream model {{ server 127.0.0.1:{setting.backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{setting.listen} backlog=4096;
    location / {{
      proxy_pass http://model;
      {copied}
    }}
    {copies if setting.mirror else ""}
  }}
}}
"""


def haproxy(setting: Setting) -> str:
    """Return HAProxy's configuration with one thread and shared upstream connections."""
    return f"""\
global
  maxconn 12000
  no strict-limits
  nbthread 1
  stats socket {setting.folder}/stats.sock
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option forwardfor
  http-reuse always
frontend callers
  bind 127.0.0.1:{setting.listen} backlog 4096
  unique-id-format %{{+X}}o%ci%cp%Ts%rt
  unique-id-header x-request-id
  default_backend model
backend model
  server one 127.0.0.1:{setting.backend}
"""


def envoy(setting: Setting, *, matched: bool) -> dict[str, object]:
    """Return Envoy's bootstrap: two weighted clusters, and when ``matched`` a sticky split and a JSON log."""
    split: dict[str, object] = {
        "clusters": [{"name": "control", "weight": 95}, {"name": "treatment", "weight": 5}],
    }
    action: dict[str, object] = {"weighted_clusters": split, "timeout": "300s"}
    if setting.mirror:
        share = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        action["request_mirror_policies"] = [{"cluster": "copies", "runtime_fraction": share}]
    log: list[object] = []
    if matched:
        split["use_hash_policy"] = True
        action["hash_policy"] = [{"header": {"header_name": "x-user-id"}}]
        kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
        path = str(setting.folder / "access.log")
        log = [
            {"name": "file", "typed_config": {"@type": kind, "path": path, "log_format": {"json_format": ENVOY_LOG}}}
        ]
    filters = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "callers",
        "access_log": log,
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{filters}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": "callers",
        "address": address(setting.listen),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    clusters = [envoy_cluster(name, setting.backend) for name in ("control", "treatment", "copies")]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def envoy_cluster(name: str, port: int) -> dict[str, object]:
    """Return one Envoy cluster with one endpoint and limits that no case reaches."""
    endpoint = {"endpoint": {"address": address(port)}}
    limits = {"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def address(port: int) -> dict[str, object]:
    """Return a loopback address as Envoy writes it."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def router(setting: Setting) -> str:
    """Return the router's YAML: so many routes, the last of them with a 95/5 split by x-user-id.

    The route that the load takes (`/v2/models/ranker/`) is the last and has an experiment.
    """
    lines = [
        "version: 1",
        f"server: {{listen: '127.0.0.1:{setting.listen}', workers: 1, shutdown_delay: 0s, drain: 2s,",
        "  expose: [request-id], limits: {connections: 12000}, timeouts: {keepalive: 300s}}",
        f"admin: {{listen: '127.0.0.1:{setting.admin}'}}",
        f"events: {{dir: '{setting.folder}/events'}}",
        "targets:",
    ]
    for version in ("v1", "v2", "v3") if setting.mirror else ("v1", "v2"):
        endpoint = f"http://127.0.0.1:{setting.backend}"
        lines.append(f"  - {{name: ranker-{version}, endpoints: ['{endpoint}'], pool: {{max: 1024}}}}")
    names = [f"model-{number:04d}" for number in range(setting.routes - 1)] + ["ranker"]
    lines.append("routes:")
    copies = ", shadow: [{target: ranker-v3, share: 100%, inflight: 2000, compare: {}}]" if setting.mirror else ""
    for name in names:
        match = f"match: {{path: /v2/models/{name}/}}"
        lines.append(f"  - {{name: {name}, {match}, target: ranker-v1, unit: ['header:x-user-id']{copies}}}")
    arms = "{name: control, target: ranker-v1, weight: 95}, {name: treatment, target: ranker-v2, weight: 5}"
    lines.append("experiments:")
    lines += [
        f"  - {{name: split-{name}, route: {name}, arms: [{arms}]}}"
        for name in names[setting.routes - setting.experiments :]
    ]
    return "\n".join(lines) + "\n"
