#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        targets = @{ type = 'list'; elements = 'str'; default = @() }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
$selfSid = 'S-1-5-10'

try {
    Import-Module -Name ActiveDirectory
    Import-Module -Name LAPS
    $rootDse = Get-ADRootDSE -Server localhost
    $server = @{ Server = [string]$rootDse.dnsHostName }
}
catch {
    $module.FailJson("Windows LAPS or the directory does not answer; LAPS needs Windows Server 2019 with the April 2023 update: $_", $_)
}

Function Get-LapsAttribute {
    <#
    .SYNOPSIS
    The schema's attribute of LAPS passwords; nothing before the schema was extended.
    #>
    Get-ADObject -SearchBase $rootDse.schemaNamingContext -LDAPFilter '(lDAPDisplayName=msLAPS-Password)' -Properties schemaIDGUID @server
}

Function Test-LapsPermission {
    param (
        [Parameter(Mandatory = $true)][string]$Target,
        [Parameter(Mandatory = $true)][Guid]$Attribute
    )
    $container = Get-ADObject -Identity $Target -Properties nTSecurityDescriptor @server
    $rules = $container.nTSecurityDescriptor.GetAccessRules($true, $true, [System.Security.Principal.SecurityIdentifier])
    $write = [System.DirectoryServices.ActiveDirectoryRights]::WriteProperty
    @($rules | Where-Object {
            $_.IdentityReference.Value -eq $selfSid -and $_.ObjectType -eq $Attribute -and ($_.ActiveDirectoryRights -band $write)
        }).Count -gt 0
}

$attribute = Get-LapsAttribute
$extended = $null -ne $attribute
$granted = @()
if ($extended) {
    $guid = [Guid][byte[]]$attribute.schemaIDGUID
    $granted = @($module.Params.targets | Where-Object { Test-LapsPermission -Target $_ -Attribute $guid })
}
$missing = @($module.Params.targets | Where-Object { $granted -notcontains $_ })

$module.Diff.before = @{ schema = $extended; targets = $granted }
$module.Diff.after = @{ schema = $true; targets = @($module.Params.targets) }
$module.Result.changed = -not $extended -or $missing.Count -gt 0

if (-not $module.CheckMode) {
    try {
        if (-not $extended) { $null = Update-LapsADSchema -Confirm:$false }
        foreach ($target in $missing) { $null = Set-LapsADComputerSelfPermission -Identity $target }
    }
    catch {
        $module.FailJson("The directory could not be prepared for Windows LAPS; the account must be a schema administrator: $_", $_)
    }
}
$module.ExitJson()
