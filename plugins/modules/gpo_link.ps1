#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        links = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                gpo = @{ type = 'str'; required = $true }
                target = @{ type = 'str'; required = $true }
                enabled = @{ type = 'bool'; default = $true }
                enforced = @{ type = 'bool'; default = $false }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

try {
    Import-Module -Name GroupPolicy
}
catch {
    $module.FailJson("The GroupPolicy module does not load; install the feature GPMC: $_", $_)
}

Function Get-LinkState {
    param (
        [Parameter(Mandatory = $true)][string]$Gpo,
        [Parameter(Mandatory = $true)][string]$Target
    )
    $found = @((Get-GPInheritance -Target $Target).GpoLinks | Where-Object { $_.DisplayName -eq $Gpo })
    if ($found.Count -eq 0) { return $null }
    return @{ gpo = $Gpo; target = $Target; enabled = [bool]$found[0].Enabled; enforced = [bool]$found[0].Enforced }
}

$before = @()
$after = @()
foreach ($link in $module.Params.links) {
    if (@(Get-GPO -Name $link.gpo -ErrorAction Ignore).Count -eq 0) {
        $module.FailJson("There is no group policy named '$($link.gpo)'; create or import it before it is linked to $($link.target)")
    }
    $current = Get-LinkState -Gpo $link.gpo -Target $link.target
    $same = $null -ne $current -and $current.enabled -eq $link.enabled -and $current.enforced -eq $link.enforced
    if ($null -ne $current) { $before += $current }
    $after += @{ gpo = $link.gpo; target = $link.target; enabled = $link.enabled; enforced = $link.enforced }
    if ($same) { continue }
    $module.Result.changed = $true
    $arguments = @{
        Name = $link.gpo
        Target = $link.target
        LinkEnabled = $(if ($link.enabled) { 'Yes' } else { 'No' })
        Enforced = $(if ($link.enforced) { 'Yes' } else { 'No' })
    }
    if ($module.CheckMode) { continue }
    try {
        if ($null -eq $current) { $null = New-GPLink @arguments } else { $null = Set-GPLink @arguments }
    }
    catch {
        $module.FailJson("The group policy '$($link.gpo)' could not be linked to $($link.target): $_", $_)
    }
}
$module.Diff.before = $before
$module.Diff.after = $after
$module.ExitJson()
