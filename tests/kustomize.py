"""A reader of kustomizations for where ``kubectl`` is not installed: as much as this project's files use.

It refuses by name whatever it does not know. Where ``kubectl`` is installed, a test compares the two.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_FIELDS = {
    "apiVersion",
    "kind",
    "namespace",
    "labels",
    "resources",
    "components",
    "patches",
    "images",
    "configMapGenerator",
    "generatorOptions",
}
# Lists whose items a strategic merge tells apart, by the field that names them.
_MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
_CLUSTER_WIDE = {"Namespace", "PriorityClass"}


class Unknown(Exception):
    """Something in a kustomization that this reader has no idea of."""


def render(folder: Path) -> list[Manifest]:
    """What ``kubectl kustomize folder`` prints, in another order.

    Raises:
        Unknown: A field or operation is not known here.
    """
    return _apply(folder, [])


def _apply(folder: Path, given: list[Manifest]) -> list[Manifest]:
    file = folder / "kustomization.yaml"
    wanted = yaml.safe_load(file.read_text())
    _check(wanted, _FIELDS, file)
    manifests = list(given)
    for name in wanted.get("resources", []):
        path = (folder / name).resolve()
        manifests += _apply(path, []) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for name in wanted.get("components", []):
        manifests = _apply((folder / name).resolve(), manifests)
    _check(wanted.get("generatorOptions", {}), {"disableNameSuffixHash"}, file)
    for generator in wanted.get("configMapGenerator", []):
        if not wanted.get("generatorOptions", {}).get("disableNameSuffixHash"):
            raise Unknown(f"{file}: configMapGenerator without disableNameSuffixHash")
        manifests.append(_config_map(folder, generator, file))
    for patch in wanted.get("patches", []):
        manifests = _patched(folder, patch, manifests, file)
    for image in wanted.get("images", []):
        _check(image, {"name", "newName", "newTag"}, file)
        _set_image(manifests, image)
    for manifest in manifests:
        if "namespace" in wanted and manifest["kind"] not in _CLUSTER_WIDE:
            manifest["metadata"]["namespace"] = wanted["namespace"]
        for labels in wanted.get("labels", []):
            _check(labels, {"pairs"}, file)
            manifest["metadata"].setdefault("labels", {}).update(labels["pairs"])
    return manifests


def _check(found: dict[str, Any], known: set[str], where: object) -> None:
    if unknown := set(found) - known:
        raise Unknown(f"{where}: {', '.join(sorted(unknown))}")


def _config_map(folder: Path, generator: dict[str, Any], file: Path) -> Manifest:
    _check(generator, {"name", "files", "options"}, file)
    _check(generator.get("options", {}), {"labels"}, file)
    data = {Path(name).name: (folder / name).read_text() for name in generator["files"]}
    metadata = {"name": generator["name"], "labels": generator.get("options", {}).get("labels", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _set_image(manifests: list[Manifest], image: dict[str, str]) -> None:
    for manifest in manifests:
        pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
        for container in pod.get("containers", []):
            name, _, tag = container["image"].rpartition(":")
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def _patched(folder: Path, patch: dict[str, Any], manifests: list[Manifest], file: Path) -> list[Manifest]:
    _check(patch, {"target", "patch", "path"}, file)
    text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text()
    change = yaml.safe_load(text)
    chosen = [m for m in manifests if _matches(m, patch["target"], file)]
    if not chosen:
        raise Unknown(f"{file}: no resource for the patch of {patch['target']}")
    if isinstance(change, dict) and change.get("$patch") == "delete":
        return [m for m in manifests if not any(m is c for c in chosen)]
    for manifest in chosen:
        if isinstance(change, list):
            for operation in change:
                _operate(manifest, operation, file)
        else:
            # The name of a patch with a target means nothing.
            own = {k: v for k, v in change.items() if k not in ("apiVersion", "kind", "metadata")}
            _merge(manifest, own, file)
    return manifests


def _matches(manifest: Manifest, target: dict[str, str], file: Path) -> bool:
    _check(target, {"kind", "name", "labelSelector"}, file)
    labels = manifest["metadata"].get("labels", {})
    selectors = [s.split("=") for s in target.get("labelSelector", "").split(",") if s]
    return (
        re.fullmatch(target.get("kind", ".*"), manifest["kind"]) is not None
        and re.fullmatch(target.get("name", ".*"), manifest["metadata"]["name"]) is not None
        and all(labels.get(key) == value for key, value in selectors)
    )


def _operate(manifest: Manifest, operation: dict[str, Any], file: Path) -> None:
    """One operation of RFC 6902."""
    *steps, last = [s.replace("~1", "/").replace("~0", "~") for s in operation["path"].split("/")[1:]]
    parent: Any = manifest
    for step in steps:
        parent = parent[int(step)] if isinstance(parent, list) else parent[step]
    value = copy.deepcopy(operation.get("value"))
    match operation["op"], parent:
        case "add", list():
            parent.insert(len(parent) if last == "-" else int(last), value)
        case "add", dict():
            parent[last] = value
        case "replace", _:
            key = int(last) if isinstance(parent, list) else last
            parent[key]  # it must be there
            parent[key] = value
        case "remove", _:
            del parent[int(last) if isinstance(parent, list) else last]
        case _:
            raise Unknown(f"{file}: operation {operation['op']}")


def _merge(onto: dict[str, Any], change: dict[str, Any], file: Path) -> None:
    """A strategic merge of maps, and of the lists whose items have names."""
    for key, value in change.items():
        there = onto.get(key)
        if value is None:
            onto.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(there, dict):
                onto[key] = there = {}
            _merge(there, value, file)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            if key not in _MERGE_KEYS or there is None:
                raise Unknown(f"{file}: merging the list {key}")
            _merge_items(there, value, _MERGE_KEYS[key], file)
        else:
            onto[key] = value


def _merge_items(there: list[Any], items: list[dict[str, Any]], key: str, file: Path) -> None:
    for item in items:
        at = next((n for n, own in enumerate(there) if own[key] == item[key]), None)
        if at is None:
            raise Unknown(f"{file}: a merged item of its own, {item[key]}: use an add operation")
        if item.get("$patch") == "delete":
            del there[at]
        else:
            _merge(there[at], item, file)
