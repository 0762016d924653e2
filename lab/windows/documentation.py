# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Published documentation of Ansible modules: options, returns, and what their source adds to it."""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.windows import powershell_spec

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # libyaml is optional
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same interface, slower

CONSTRAINTS = ("mutually_exclusive", "required_together", "required_one_of", "required_if")


@dataclass(frozen=True, slots=True)
class ModuleDoc:
    """What a module's documentation promises."""

    module: str
    options: dict[str, Any]
    returns: dict[str, Any]
    constraints: dict[str, list[list[Any]]] = field(default_factory=dict)
    required_by: dict[str, Any] = field(default_factory=dict)
    check_mode: bool | None = None
    """Whether the source declares check mode; None when there is no PowerShell source."""


def collection_roots() -> list[Path]:
    """Folders ``ansible_collections`` that hold collections, the repository's own first."""
    own = Path(__file__).resolve().parents[2] / ".collections"
    roots = [own / "ansible_collections"]
    roots += [Path(entry or ".") / "ansible_collections" for entry in sys.path]
    seen: list[Path] = []
    for root in roots:
        if root not in seen and root.is_dir():
            seen.append(root)
    return seen


def _collection(namespace: str, name: str) -> Path | None:
    for root in collection_roots():
        path = root / namespace / name
        if path.is_dir():
            return path
    return None


def _strings(path: Path) -> dict[str, str]:
    """Module-level string constants of a Python file, by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = node.value.value
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if (
                    isinstance(inner, ast.Assign)
                    and isinstance(inner.value, ast.Constant)
                    and isinstance(inner.value.value, str)
                    and isinstance(inner.targets[0], ast.Name)
                ):
                    found[inner.targets[0].id] = inner.value.value
    return found


def _yaml(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


@functools.cache
def _fragment(name: str) -> dict[str, Any]:
    parts = name.split(".")
    variable = "DOCUMENTATION"
    if len(parts) >= 3:
        folder = _collection(parts[0], parts[1])
        file = parts[2]
        if len(parts) > 3:
            variable = parts[3].upper()
        if parts[:2] == ["ansible", "builtin"]:
            folder = _core()
    else:
        folder, file = _core(), parts[0]
        if len(parts) > 1:
            variable = parts[1].upper()
    if folder is None:
        raise LookupError(f"Documentation fragment {name} belongs to a collection that is not installed.")
    base = folder / "plugins" / "doc_fragments" / file
    if base.with_suffix(".py").exists():
        text = _strings(base.with_suffix(".py")).get(variable)
        if text is None:
            raise LookupError(f"Documentation fragment {name} has no {variable}.")
        return dict(_yaml(text) or {})
    raise LookupError(f"There is no documentation fragment {name}.")


def _core() -> Path | None:
    for entry in sys.path:
        path = Path(entry or ".") / "ansible" / "plugins"
        if (path / "doc_fragments").is_dir():
            return path.parent
    return None


def _with_fragments(documentation: dict[str, Any]) -> dict[str, Any]:
    options = dict(documentation.get("options") or {})
    fragments = documentation.get("extends_documentation_fragment") or []
    for name in [fragments] if isinstance(fragments, str) else fragments:
        for option, content in (_fragment(name).get("options") or {}).items():
            options.setdefault(option, content)
    return options


def _mark_secrets(options: dict[str, Any], spec: dict[str, Any]) -> None:
    for name, option in options.items():
        declared = spec.get(name)
        inner = option.get("suboptions") or option.get("options") or {}
        if isinstance(declared, dict):
            if declared.get("no_log") is True:
                option["no_log"] = True
            if isinstance(declared.get("options"), dict):
                _mark_secrets(inner, declared["options"])
        else:
            _mark_secrets(inner, {})
            if "password" in name and option.get("type", "str") == "str" and not option.get("choices"):
                option["no_log"] = True


def _modules(namespace: str, name: str) -> Path | None:
    """Folder of a collection's modules; ansible.builtin's are in ansible-core."""
    if (namespace, name) == ("ansible", "builtin"):
        core = _core()
        return core / "modules" if core else None
    folder = _collection(namespace, name)
    return folder / "plugins" / "modules" if folder else None


@functools.cache
def module_doc(module: str) -> ModuleDoc | None:
    """Read the documentation of a module by its full name; None when no installed collection has it.

    Raises:
        LookupError: A documentation fragment that it needs is missing.
    """
    parts = module.split(".")
    if len(parts) != 3:
        return None
    folder = _modules(parts[0], parts[1])
    if folder is None:
        return None
    base = folder / parts[2]
    sidecar, python, source = base.with_suffix(".yml"), base.with_suffix(".py"), base.with_suffix(".ps1")
    if sidecar.exists():
        content = _yaml(sidecar.read_text(encoding="utf-8"))
        documentation, returns = content.get("DOCUMENTATION") or {}, content.get("RETURN") or {}
    elif python.exists():
        texts = _strings(python)
        if "DOCUMENTATION" not in texts:
            return None
        documentation = _yaml(texts["DOCUMENTATION"])
        returns = _yaml(texts.get("RETURN", "")) or {}
    else:
        return None
    options = _with_fragments(documentation)
    constraints: dict[str, list[list[Any]]] = {}
    required_by: dict[str, Any] = {}
    check_mode: bool | None = None
    spec: dict[str, Any] = {}
    if source.exists():
        text = source.read_text(encoding="utf-8-sig")
        spec = powershell_spec.argument_spec(text) or {}
        check_mode = powershell_spec.supports_check_mode(text)
        if check_mode is None and "Ansible.ModuleUtils.Legacy" in text:
            check_mode = False  # Parse-Args says no unless it is told otherwise
        for name in CONSTRAINTS:
            constraints[name] = powershell_spec.rows(spec.get(name))
        if isinstance(spec.get("required_by"), dict):
            required_by = spec["required_by"]
    declared = spec.get("options")
    _mark_secrets(options, declared if isinstance(declared, dict) else {})
    return ModuleDoc(module, options, dict(returns), constraints, required_by, check_mode)
