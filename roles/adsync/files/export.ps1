# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Exports the configuration of Entra Connect Sync into a folder of its own when it differs from the last export, and keeps the
# newest ones. Run by the scheduled task that the role adsync declares.
param (
    [Parameter(Mandatory = $true)][string]$Folder,
    [Parameter(Mandatory = $true)][int]$Keep
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

Function Get-Fingerprint {
    param ([string]$Path)
    $lines = Get-ChildItem -LiteralPath $Path -File -Recurse | Sort-Object -Property FullName | ForEach-Object -Process {
        $_.FullName.Substring($Path.Length) + ' ' + (Get-FileHash -LiteralPath $_.FullName -Algorithm SHA256).Hash
    }
    @($lines) -join "`n"
}

Import-Module -Name ADSync
# What a run that was cut short left behind is not an export.
$draft = Join-Path -Path $Folder -ChildPath '.draft'
if (Test-Path -LiteralPath $draft) { Remove-Item -LiteralPath $draft -Recurse -Force }
$null = New-Item -Path $draft -ItemType Directory
$null = Get-ADSyncServerConfiguration -Path $draft
# The wizard writes its own policy after each change; the newest is the one in force.
$policies = "$env:ProgramData\AADConnect"
Get-ChildItem -Path "$policies\Applied-SynchronizationPolicy-*.json" -File | Sort-Object -Property LastWriteTimeUtc |
    Select-Object -Last 1 | ForEach-Object -Process {
        Copy-Item -LiteralPath $_.FullName -Destination (Join-Path -Path $draft -ChildPath 'Applied-SynchronizationPolicy.json')
    }

$kept = @(Get-ChildItem -LiteralPath $Folder -Directory | Where-Object { $_.Name -match '^\d{8}-\d{6}$' } | Sort-Object -Property Name)
if ($kept.Count -gt 0 -and (Get-Fingerprint -Path $kept[-1].FullName) -ceq (Get-Fingerprint -Path $draft)) {
    Remove-Item -LiteralPath $draft -Recurse -Force
}
else {
    $stamp = [System.DateTime]::UtcNow.ToString('yyyyMMdd-HHmmss', [System.Globalization.CultureInfo]::InvariantCulture)
    Rename-Item -LiteralPath $draft -NewName $stamp
    $kept += Get-Item -LiteralPath (Join-Path -Path $Folder -ChildPath $stamp)
}
if ($kept.Count -gt $Keep) {
    $kept | Select-Object -First ($kept.Count - $Keep) | ForEach-Object -Process { Remove-Item -LiteralPath $_.FullName -Recurse -Force }
}
