# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry of a simulated server: keys and values, kept in its state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lab.windows.registry import section
from lab.windows.systems import system

if TYPE_CHECKING:
    from lab.windows.server import ServerSpec, WindowsServer

_HIVES = {
    "hkey_local_machine": "HKLM",
    "hkey_current_user": "HKCU",
    "hkey_users": "HKU",
    "hkey_classes_root": "HKCR",
    "hkey_current_config": "HKCC",
}
TYPES = {
    "string": "REG_SZ",
    "expandstring": "REG_EXPAND_SZ",
    "multistring": "REG_MULTI_SZ",
    "dword": "REG_DWORD",
    "qword": "REG_QWORD",
    "binary": "REG_BINARY",
    "none": "REG_NONE",
}
CURRENT_VERSION = r"HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion"


def normalise(path: str) -> str:
    r"""Bring a path of any spelling (``HKLM:\...``, ``HKEY_LOCAL_MACHINE\...``) into ``HKLM\...``."""
    text = re.sub(r"^registry::", "", path.strip(), flags=re.IGNORECASE)
    hive, _, rest = text.partition("\\")
    hive = hive.rstrip(":")
    hive = _HIVES.get(hive.casefold(), hive.upper())
    parts = [part for part in rest.split("\\") if part]
    if hive == "HKCR":
        hive, parts = "HKLM", ["SOFTWARE", "Classes", *parts]
    numbered = len(parts) > 1 and re.fullmatch(r"controlset00\d", parts[1], re.IGNORECASE)
    if hive == "HKLM" and numbered and parts[0].casefold() == "system":
        parts[1] = "CurrentControlSet"
    return "\\".join([hive, *parts])


class Registry:
    """Works on the ``registry`` section of a server.

    A key is ``{"path": shown, "values": {name in lower case: {"name", "type", "data"}}}``; types are the names that
    win_regedit uses, data are text, a number without sign, a list of text or a list of bytes.
    """

    def __init__(self, server: WindowsServer, user_sid: str = "S-1-5-18") -> None:
        self.keys: dict[str, Any] = server.section("registry")
        self.user_sid = user_sid

    def _name(self, path: str) -> str:
        shown = normalise(path)
        if shown.split("\\")[0] == "HKCU":
            shown = f"HKU\\{self.user_sid}" + shown[4:]
        return shown

    def key(self, path: str) -> dict[str, Any] | None:
        """A key, None when it is not there."""
        found: dict[str, Any] | None = self.keys.get(self._name(path).casefold())
        return found

    def exists(self, path: str) -> bool:
        """Whether a key is there; hives always are."""
        name = self._name(path)
        return "\\" not in name or name.casefold() in self.keys

    def create(self, path: str) -> bool:
        """Make a key and its parents; tell whether anything was made."""
        parts = self._name(path).split("\\")
        made = False
        for count in range(2, len(parts) + 1):
            shown = "\\".join(parts[:count])
            if shown.casefold() not in self.keys:
                self.keys[shown.casefold()] = {"path": shown, "values": {}}
                made = True
        return made

    def delete(self, path: str) -> bool:
        """Remove a key and everything below; tell whether it was there."""
        name = self._name(path).casefold()
        found = [key for key in self.keys if key == name or key.startswith(name + "\\")]
        for key in found:
            del self.keys[key]
        return bool(found)

    def value(self, path: str, name: str | None) -> dict[str, Any] | None:
        """A value with name, type and data; the key's default value when the name is empty."""
        key = self.key(path)
        found: dict[str, Any] | None = key["values"].get((name or "").casefold()) if key else None
        return found

    def data(self, path: str, name: str, default: Any = None) -> Any:
        """Data of a value, a default when it is not there."""
        value = self.value(path, name)
        return default if value is None else value["data"]

    def set(self, path: str, name: str | None, kind: str, data: Any) -> bool:
        """Write a value, making its key; tell whether anything changed."""
        made = self.create(path)
        key = self.key(path)
        if key is None:
            raise KeyError(path)
        old = key["values"].get((name or "").casefold())
        new = {"name": name or "", "type": kind, "data": data}
        if old is not None and old["type"] == kind and old["data"] == data:
            return made
        key["values"][(name or "").casefold()] = new
        return True

    def unset(self, path: str, name: str | None) -> bool:
        """Remove a value; tell whether it was there."""
        key = self.key(path)
        return key is not None and key["values"].pop((name or "").casefold(), None) is not None

    def subkeys(self, path: str) -> list[str]:
        """Names of the keys directly below."""
        prefix = self._name(path).casefold() + "\\"
        return [
            entry["path"].rpartition("\\")[2]
            for name, entry in self.keys.items()
            if name.startswith(prefix) and "\\" not in name[len(prefix) :]
        ]


def _seed(keys: dict[str, Any], path: str, **values: Any) -> None:
    parts = normalise(path).split("\\")
    for count in range(2, len(parts) + 1):
        shown = "\\".join(parts[:count])
        keys.setdefault(shown.casefold(), {"path": shown, "values": {}})
    for name, data in values.items():
        kind = "dword" if isinstance(data, int) else "multistring" if isinstance(data, list) else "string"
        keys[normalise(path).casefold()]["values"][name.casefold()] = {"name": name, "type": kind, "data": data}


@section("registry")
def _registry(spec: ServerSpec) -> dict[str, Any]:
    facts = system(spec.system)
    control = r"HKLM:\SYSTEM\CurrentControlSet"
    keys: dict[str, Any] = {}
    _seed(
        keys,
        CURRENT_VERSION,
        ProductName=facts.product_name,
        CurrentBuild=str(facts.build),
        CurrentBuildNumber=str(facts.build),
        CurrentMajorVersionNumber=10,
        CurrentMinorVersionNumber=0,
        UBR=facts.revision,
        ReleaseId=facts.release,
        EditionID="ServerStandard",
        InstallationType="Server",
        RegisteredOwner="Utilisateur Windows",
        RegisteredOrganization="",
        SystemRoot=r"C:\Windows",
    )
    _seed(keys, rf"{CURRENT_VERSION}\Winlogon", DefaultDomainName="", AutoAdminLogon="0", ShutdownWithoutLogon="0")
    _seed(keys, r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion", ProgramFilesDir=r"C:\Program Files")
    _seed(
        keys,
        r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System",
        EnableLUA=1,
        ConsentPromptBehaviorAdmin=5,
    )
    _seed(keys, r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Run")
    _seed(keys, r"HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall")
    _seed(keys, r"HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall")
    _seed(keys, r"HKLM:\SOFTWARE\Policies\Microsoft\Windows")
    _seed(
        keys,
        r"HKLM:\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full",
        Release=facts.dotnet_release,
        Version="4.8.04161",
    )
    _seed(keys, r"HKLM:\SOFTWARE\Microsoft\ServerManager\Roles")
    _seed(
        keys,
        rf"{control}\Control\Lsa",
        LmCompatibilityLevel=3,
        RestrictAnonymous=0,
        RestrictAnonymousSAM=1,
        LimitBlankPasswordUse=1,
    )
    _seed(keys, rf"{control}\Control\Lsa\MSV1_0", NtlmMinClientSec=536870912, NtlmMinServerSec=536870912)
    _seed(keys, rf"{control}\Control\SecurityProviders\SCHANNEL\Protocols")
    _seed(keys, rf"{control}\Control\SecurityProviders\WDigest")
    _seed(keys, rf"{control}\Control\Session Manager", ProtectionMode=1)
    _seed(keys, rf"{control}\Control\Session Manager\Memory Management", ClearPageFileAtShutdown=0)
    _seed(keys, rf"{control}\Control\Terminal Server", fDenyTSConnections=1)
    _seed(
        keys,
        rf"{control}\Control\Terminal Server\WinStations\RDP-Tcp",
        UserAuthentication=1,
        SecurityLayer=2,
        PortNumber=3389,
    )
    _seed(keys, rf"{control}\Services\LanmanServer\Parameters", requiresecuritysignature=0, enablesecuritysignature=0)
    _seed(
        keys, rf"{control}\Services\LanmanWorkstation\Parameters", RequireSecuritySignature=0, EnableSecuritySignature=1
    )
    _seed(keys, rf"{control}\Services\W32Time\Parameters", Type="NTP", NtpServer="time.windows.com,0x8")
    _seed(
        keys,
        rf"{control}\Services\W32Time\Config",
        AnnounceFlags=10,
        MaxNegPhaseCorrection=54000,
        MaxPosPhaseCorrection=54000,
    )
    _seed(keys, rf"{control}\Services\W32Time\TimeProviders\NtpServer", Enabled=0)
    _seed(keys, rf"{control}\Services\W32Time\TimeProviders\NtpClient", Enabled=1, SpecialPollInterval=1024)
    _seed(keys, rf"{control}\Services\W32Time\TimeProviders\VMICTimeProvider", Enabled=1)
    _seed(keys, rf"{control}\Services\Tcpip\Parameters", Hostname="", Domain="")
    _seed(keys, rf"{control}\Services\Tcpip6\Parameters")
    _seed(keys, rf"{control}\Services\NetBT\Parameters")
    return keys
