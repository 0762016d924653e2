#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        drivers = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                name = @{ type = 'str'; required = $true }
                inf = @{ type = 'str'; default = '' }
                version = @{ type = 'str'; default = '' }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# Where the spooler keeps the drivers of its two generations.
$store = 'HKLM:\SYSTEM\CurrentControlSet\Control\Print\Environments\Windows x64\Drivers'
# pnputil: done, nothing newer to add, done once the server has rebooted.
$accepted = 0, 259, 3010

Function ConvertTo-Version {
    <#
    .SYNOPSIS
    The four numbers that Windows keeps in one.
    #>
    param ([uint64]$Number)
    $parts = foreach ($shift in 48, 32, 16, 0) { ($Number -shr $shift) -band 0xffff }
    [System.Version]($parts -join '.')
}

Function Install-Driver {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([System.Collections.IDictionary]$Driver)
    if ($PSCmdlet.ShouldProcess($Driver.name, 'install')) {
        if ($Driver.inf) {
            $null = & "$env:SystemRoot\System32\pnputil.exe" '/add-driver' $Driver.inf
            if ($accepted -notcontains $LASTEXITCODE) { throw "pnputil refuses $($Driver.inf) (exit code $LASTEXITCODE)" }
        }
        Add-PrinterDriver -Name $Driver.name
    }
}

$running = (Get-Service -Name Spooler).Status -eq 'Running'
if (-not $running -and -not $module.CheckMode) {
    $module.FailJson('The print spooler does not run: start the service Spooler first')
}
$found = @{}
if ($running) {
    foreach ($driver in @(Get-PrinterDriver)) { $found[$driver.Name] = ConvertTo-Version -Number $driver.DriverVersion }
}
else {
    foreach ($generation in 'Version-3', 'Version-4') {
        $keys = @(Get-ChildItem -LiteralPath "$store\$generation" -ErrorAction Ignore)
        foreach ($key in $keys) { $found[$key.PSChildName] = $null }
    }
}

$changes = [System.Collections.Generic.List[object]]@()
foreach ($driver in $module.Params.drivers) {
    try {
        $there = $found.ContainsKey($driver.name)
        $version = $found[$driver.name]
        $old = $driver.version -and $null -ne $version -and $version -lt [System.Version]$driver.version
        if (-not $there -or $old) {
            Install-Driver -Driver $driver -WhatIf:$module.CheckMode
            $before = if ($there) { [string]$version } else { $null }
            $changes.Add(@{ name = $driver.name; property = 'driver'; before = $before; after = [string]$driver.version })
        }
    }
    catch {
        $module.FailJson("printer driver '$($driver.name)': $($_.Exception.Message)", $_)
    }
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.name, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.name, $_.after }) -join "`n"
$module.ExitJson()
