"""The manifests as a cluster would take them: their schemas, and whether they fit each other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeAlias

import kubernetes_validate
import pytest
import yaml

from postwire import settings
from postwire_worker.networks import is_open

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy/k8s"
#: Each overlay, and the base with the components that no overlay has.
BUILDS = ("dev", "production", "hpa")
#: The oldest release that README.md names, and the newest that there are schemas of.
VERSIONS = ("1.29", "1.37")
#: Kinds of operators, of which there are no schemas.
FOREIGN = {"ScaledObject", "PodMonitor", "PrometheusRule"}
PARTS: dict[str, type[settings._Settings]] = {
    "postwire-migrate": settings.MigrateSettings,
    "postwire-api": settings.ApiSettings,
    "postwire-sync-worker": settings.WorkerSettings,
    "postwire-sync-worker-manual": settings.WorkerSettings,
    "postwire-watcher": settings.WatcherSettings,
    "postwire-gateway": settings.GatewaySettings,
}

Object: TypeAlias = dict[str, Any]


@pytest.fixture(scope="module", params=BUILDS)
def objects(
    request: pytest.FixtureRequest, kustomize: list[str], tmp_path_factory: pytest.TempPathFactory
) -> list[Object]:
    """All objects of one build."""
    folder = K8S / "overlays" / request.param
    if request.param == "hpa":
        folder = tmp_path_factory.mktemp("hpa")
        relative = "/".join([".."] * (len(folder.parts) - 1))
        written = {
            "resources": [f"{relative}{K8S}/base"],
            "components": [f"{relative}{K8S}/components/hpa"],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(written))
    built = subprocess.run(
        [*kustomize, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not built.stderr, "a deprecated field"
    return list(yaml.safe_load_all(built.stdout))


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def pods(objects: list[Object]) -> dict[str, Object]:
    """The templates of all pods by their names."""
    owners = of_kind(objects, "Deployment", "StatefulSet", "Job")
    return {one["metadata"]["name"]: one["spec"]["template"] for one in owners}


def ours(objects: list[Object]) -> dict[str, Object]:
    return {name: pod for name, pod in pods(objects).items() if name in PARTS}


def container(pod: Object) -> Object:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector has these labels in it, as Kubernetes counts."""
    wanted = selector.get("matchLabels", {}).items()
    return wanted <= labels.items() and all(
        (labels.get(one["key"]) in one["values"]) is (one["operator"] == "In")
        for one in selector.get("matchExpressions", [])
    )


def selected(objects: list[Object], selector: Object) -> dict[str, Object]:
    return {
        name: pod
        for name, pod in pods(objects).items()
        if selects(selector, pod["metadata"]["labels"])
    }


def policies(objects: list[Object], name: str, direction: str) -> Iterator[Object]:
    """The rules of the one direction that hold for the pods of that name."""
    for one in of_kind(objects, "NetworkPolicy"):
        if name in selected(objects, one["spec"]["podSelector"]):
            yield from one["spec"].get(direction, [])


def secret_files(pod: Object) -> dict[str, str]:
    """The files of the pod's secrets, each with the key it comes from."""
    (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "secrets"]
    return {
        item["path"]: item["key"]
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_as_its_schema_says(objects: list[Object], version: str) -> None:
    for one in objects:
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, version, strict=True)


def test_nothing_is_there_twice(objects: list[Object]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def test_each_selector_selects_its_own_pods(objects: list[Object]) -> None:
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        name = one["metadata"]["name"]
        assert selected(objects, one["spec"]["selector"]).keys() == {name}
    for one in of_kind(objects, "PodDisruptionBudget"):
        name = one["metadata"]["name"]
        assert selected(objects, one["spec"]["selector"]).keys() == {name}
    for one in of_kind(objects, "Service"):
        name = one["metadata"]["name"]
        assert selected(objects, {"matchLabels": one["spec"]["selector"]}).keys() == {name}
    for one in of_kind(objects, "NetworkPolicy"):
        assert selected(objects, one["spec"]["podSelector"]), one["metadata"]["name"]


def test_each_process_that_runs_on_has_a_disruption_budget_that_lets_a_node_be_drained(
    objects: list[Object],
) -> None:
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert {one["metadata"]["name"] for one in budgets} == PARTS.keys() - {"postwire-migrate"}
    assert all(one["spec"]["maxUnavailable"] == 1 for one in budgets)


def has_port(pod: Object, port: object) -> bool:
    ports = container(pod).get("ports", [])
    return port in {value for one in ports for value in (one["name"], one["containerPort"])}


def test_each_port_that_a_policy_opens_is_a_port_of_its_pods(objects: list[Object]) -> None:
    for one in of_kind(objects, "NetworkPolicy"):
        for pod in selected(objects, one["spec"]["podSelector"]).values():
            for rule in one["spec"].get("ingress", []):
                assert all(has_port(pod, port["port"]) for port in rule["ports"]), one["metadata"]


def test_each_way_from_the_ingress_ends_at_a_port_of_a_pod(objects: list[Object]) -> None:
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "Service")}
    for service in services.values():
        (port,) = service["ports"]
        for pod in selected(objects, {"matchLabels": service["selector"]}).values():
            assert has_port(pod, port.get("targetPort", port["port"]))
    ways = {
        path["path"]: path["backend"]["service"]
        for one in of_kind(objects, "Ingress")
        for path in one["spec"]["rules"][0]["http"]["paths"]
    }
    assert ways.keys() == {"/", "/socket.io"}
    for backend in ways.values():
        assert backend["port"]["name"] == services[backend["name"]]["ports"][0]["name"]


def test_prometheus_finds_the_metrics_of_each_process_that_runs_on(objects: list[Object]) -> None:
    for one in of_kind(objects, "PodMonitor"):
        (endpoint,) = one["spec"]["podMetricsEndpoints"]
        found = selected(objects, one["spec"]["selector"])
        assert {name for name, pod in found.items() if has_port(pod, endpoint["port"])} == (
            PARTS.keys() - {"postwire-migrate"}
        )


def settings_of(objects: list[Object]) -> Object:
    """The ConfigMap that is no dashboards'."""
    (config,) = (
        one
        for one in of_kind(objects, "ConfigMap")
        if "grafana_dashboard" not in one["metadata"].get("labels", {})
    )
    return config


def test_each_setting_is_one_and_each_process_gets_what_it_cannot_do_without(
    objects: list[Object],
) -> None:
    config = settings_of(objects)
    known = {settings.PREFIX + name.upper() for kind in settings.ALL for name in kind.model_fields}
    assert config["data"].keys() <= known
    for name, pod in ours(objects).items():
        needed = {
            settings.PREFIX + field.upper()
            for field, about in PARTS[name].model_fields.items()
            if about.is_required()
        }
        own = container(pod)
        assert own["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        given = config["data"].keys() | {one["name"] for one in own.get("env", [])}
        files = secret_files(pod).keys()
        assert needed <= given | files, name
        # Settings refuses what is set in both.
        assert not given & files, name


def test_a_secret_is_a_file_of_those_alone_who_read_it(objects: list[Object]) -> None:
    for name, pod in ours(objects).items():
        readable = {settings.PREFIX + field.upper() for field in PARTS[name].model_fields}
        assert secret_files(pod).keys() <= readable, name
        (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "secrets"]
        assert volume["projected"]["defaultMode"] == 0o440
        (mount,) = [one for one in container(pod)["volumeMounts"] if one["name"] == "secrets"]
        assert mount["readOnly"]
        config = settings_of(objects)
        assert mount["mountPath"] == config["data"]["POSTWIRE_SECRETS_DIR"]
    for name, pod in pods(objects).items():
        assert "secretKeyRef" not in str(pod), name


def test_each_key_of_the_secret_is_told_of(objects: list[Object]) -> None:
    table = (K8S / "README.md").read_text().partition("| key of `postwire-secrets`")[2]
    told = set(re.findall(r"^\| `([\w-]+)` \|", table.partition("\n\n")[0], re.MULTILINE))
    used = {key for pod in ours(objects).values() for key in secret_files(pod).values()}
    assert used == told


def test_every_pod_is_restricted_and_has_resources_and_no_token(objects: list[Object]) -> None:
    for name, pod in pods(objects).items():
        spec, only = pod["spec"], container(pod)
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert only["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in only["resources"]["limits"], name
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_each_of_our_pods_has_an_account_of_its_own_and_without_a_token(
    objects: list[Object],
) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(objects, "ServiceAccount")}
    assert accounts.keys() == PARTS.keys()
    assert not any(one["automountServiceAccountToken"] for one in accounts.values())
    for name, pod in ours(objects).items():
        assert pod["spec"]["serviceAccountName"] == name


def test_the_pods_of_a_process_are_spread_and_are_given_the_time_to_end(
    objects: list[Object],
) -> None:
    for name, pod in ours(objects).items():
        if name == "postwire-migrate":
            continue
        assert pod["spec"]["terminationGracePeriodSeconds"] == 30
        for one in pod["spec"]["topologySpreadConstraints"]:
            assert selects(one["labelSelector"], pod["metadata"]["labels"])
            assert (
                set(one["matchLabelKeys"]) - {"pod-template-hash"}
                <= pod["metadata"]["labels"].keys()
            )


def test_every_pod_is_closed_both_ways_but_for_what_is_opened(objects: list[Object]) -> None:
    closed = [
        name
        for one in of_kind(objects, "NetworkPolicy")
        if set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        for name in selected(objects, one["spec"]["podSelector"])
    ]
    assert sorted(closed) == sorted(pods(objects))
    # No rule is for all ports, or for everyone.
    for one in of_kind(objects, "NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in one["spec"].get(direction, []):
                assert rule["ports"], one["metadata"]["name"]
                assert rule[peers], one["metadata"]["name"]


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("postwire-migrate", {"database"}),
        ("postwire-api", {"database", "redis"}),
        ("postwire-gateway", {"redis"}),
        ("postwire-sync-worker", {"database", "redis", "mail"}),
        ("postwire-sync-worker-manual", {"database", "redis", "mail"}),
        ("postwire-watcher", {"database", "redis", "mail"}),
    ],
)
def test_each_process_gets_out_to_what_it_needs_and_no_further(
    objects: list[Object], name: str, ports: set[str]
) -> None:
    of = {5432: "database", 6432: "database", 6379: "redis", 6380: "redis", 26379: "redis"}
    of |= {143: "mail", 993: "mail", 443: "mail", 53: "dns"}
    found = {
        of[port["port"]] for rule in policies(objects, name, "egress") for port in rule["ports"]
    }
    assert found == ports | {"dns"}


def test_mail_servers_are_those_that_the_processes_themselves_would_connect_to(
    objects: list[Object],
) -> None:
    # Given what a worker is let out to at the ports of mail servers
    blocks = [
        to["ipBlock"]
        for rule in policies(objects, "postwire-sync-worker", "egress")
        if {port["port"] for port in rule["ports"]} == {143, 993, 443}
        for to in rule["to"]
    ]

    def reaches(address: str) -> bool:
        return any(
            ip_address(address) in ip_network(block["cidr"])
            and not any(ip_address(address) in ip_network(one) for one in block.get("except", []))
            for block in blocks
        )

    # Then it is the public internet, as the dialer knows it
    public = ("9.9.9.9", "142.250.27.109", "2a00:1450:4001:80f::200d")
    private = {str(ip_network(one)[1]) for block in blocks for one in block.get("except", [])}
    private |= {"169.254.169.254", "255.255.255.255", "::1", "fd00:ec2::254", "fe80::1"}
    assert all(reaches(one) and is_open(one, ()) for one in public)
    assert not any(reaches(one) or is_open(one, ()) for one in private)


def test_what_scales_names_what_there_is(objects: list[Object]) -> None:
    metrics = set(
        re.findall(r"^\| `(postwire_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    )
    deployments = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "Deployment")}
    scaled = of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
    for one in scaled:
        target = one["spec"]["scaleTargetRef"]["name"]
        assert one["metadata"]["name"] == target
        # Each deploy would otherwise put back what the autoscaler has decided.
        assert "replicas" not in deployments[target]
        for trigger in one["spec"].get("triggers", []):
            assert set(re.findall(r"postwire_\w+", trigger["metadata"]["query"])) <= metrics
            assert all(isinstance(value, str) for value in trigger["metadata"].values())
    unscaled = deployments.keys() - {one["metadata"]["name"] for one in scaled}
    assert all(deployments[name]["replicas"] for name in unscaled)
