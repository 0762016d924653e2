#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Subcategories and the first part of their GUID, from [MS-GPAC] 2.2.1.2: the rest is the same for all.
$guidTail = '-69AE-11D9-BED3-505054503030'
$subcategories = [ordered]@{
    'Security State Change' = '0CCE9210'
    'Security System Extension' = '0CCE9211'
    'System Integrity' = '0CCE9212'
    'IPsec Driver' = '0CCE9213'
    'Other System Events' = '0CCE9214'
    'Logon' = '0CCE9215'
    'Logoff' = '0CCE9216'
    'Account Lockout' = '0CCE9217'
    'IPsec Main Mode' = '0CCE9218'
    'IPsec Quick Mode' = '0CCE9219'
    'IPsec Extended Mode' = '0CCE921A'
    'Special Logon' = '0CCE921B'
    'Other Logon/Logoff Events' = '0CCE921C'
    'Network Policy Server' = '0CCE9243'
    'User / Device Claims' = '0CCE9247'
    'Group Membership' = '0CCE9249'
    'File System' = '0CCE921D'
    'Registry' = '0CCE921E'
    'Kernel Object' = '0CCE921F'
    'SAM' = '0CCE9220'
    'Certification Services' = '0CCE9221'
    'Application Generated' = '0CCE9222'
    'Handle Manipulation' = '0CCE9223'
    'File Share' = '0CCE9224'
    'Filtering Platform Packet Drop' = '0CCE9225'
    'Filtering Platform Connection' = '0CCE9226'
    'Other Object Access Events' = '0CCE9227'
    'Detailed File Share' = '0CCE9244'
    'Removable Storage' = '0CCE9245'
    'Central Policy Staging' = '0CCE9246'
    'Sensitive Privilege Use' = '0CCE9228'
    'Non Sensitive Privilege Use' = '0CCE9229'
    'Other Privilege Use Events' = '0CCE922A'
    'Process Creation' = '0CCE922B'
    'Process Termination' = '0CCE922C'
    'DPAPI Activity' = '0CCE922D'
    'RPC Events' = '0CCE922E'
    'Plug and Play Events' = '0CCE9248'
    'Token Right Adjusted Events' = '0CCE924A'
    'Audit Policy Change' = '0CCE922F'
    'Authentication Policy Change' = '0CCE9230'
    'Authorization Policy Change' = '0CCE9231'
    'MPSSVC Rule-Level Policy Change' = '0CCE9232'
    'Filtering Platform Policy Change' = '0CCE9233'
    'Other Policy Change Events' = '0CCE9234'
    'User Account Management' = '0CCE9235'
    'Computer Account Management' = '0CCE9236'
    'Security Group Management' = '0CCE9237'
    'Distribution Group Management' = '0CCE9238'
    'Application Group Management' = '0CCE9239'
    'Other Account Management Events' = '0CCE923A'
    'Directory Service Access' = '0CCE923B'
    'Directory Service Changes' = '0CCE923C'
    'Directory Service Replication' = '0CCE923D'
    'Detailed Directory Service Replication' = '0CCE923E'
    'Credential Validation' = '0CCE923F'
    'Kerberos Service Ticket Operations' = '0CCE9240'
    'Other Account Logon Events' = '0CCE9241'
    'Kerberos Authentication Service' = '0CCE9242'
}
# Bits of the setting's value, from [MS-GPAC] 2.2.1.4.
$bits = @{ none = 0; success = 1; failure = 2; success_and_failure = 3 }
$words = @('none', 'success', 'failure', 'success_and_failure')

$spec = @{
    options = @{
        policies = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                subcategory = @{
                    type = 'str'
                    required = $true
                    choices = @(
                        'Security State Change'
                        'Security System Extension'
                        'System Integrity'
                        'IPsec Driver'
                        'Other System Events'
                        'Logon'
                        'Logoff'
                        'Account Lockout'
                        'IPsec Main Mode'
                        'IPsec Quick Mode'
                        'IPsec Extended Mode'
                        'Special Logon'
                        'Other Logon/Logoff Events'
                        'Network Policy Server'
                        'User / Device Claims'
                        'Group Membership'
                        'File System'
                        'Registry'
                        'Kernel Object'
                        'SAM'
                        'Certification Services'
                        'Application Generated'
                        'Handle Manipulation'
                        'File Share'
                        'Filtering Platform Packet Drop'
                        'Filtering Platform Connection'
                        'Other Object Access Events'
                        'Detailed File Share'
                        'Removable Storage'
                        'Central Policy Staging'
                        'Sensitive Privilege Use'
                        'Non Sensitive Privilege Use'
                        'Other Privilege Use Events'
                        'Process Creation'
                        'Process Termination'
                        'DPAPI Activity'
                        'RPC Events'
                        'Plug and Play Events'
                        'Token Right Adjusted Events'
                        'Audit Policy Change'
                        'Authentication Policy Change'
                        'Authorization Policy Change'
                        'MPSSVC Rule-Level Policy Change'
                        'Filtering Platform Policy Change'
                        'Other Policy Change Events'
                        'User Account Management'
                        'Computer Account Management'
                        'Security Group Management'
                        'Distribution Group Management'
                        'Application Group Management'
                        'Other Account Management Events'
                        'Directory Service Access'
                        'Directory Service Changes'
                        'Directory Service Replication'
                        'Detailed Directory Service Replication'
                        'Credential Validation'
                        'Kerberos Service Ticket Operations'
                        'Other Account Logon Events'
                        'Kerberos Authentication Service'
                    )
                }
                audit = @{ type = 'str'; required = $true; choices = 'none', 'success', 'failure', 'success_and_failure' }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

function Get-AuditPolicy {
    # GUID to bits, for the system's policy. The backup file alone gives numbers: auditpol's other outputs are words in
    # the server's language. Only ASCII columns are read, whatever the file's encoding.
    $file = Join-Path -Path ([System.IO.Path]::GetTempPath()) -ChildPath ([System.IO.Path]::GetRandomFileName())
    try {
        $output = & "$env:SystemRoot\System32\auditpol.exe" /backup "/file:$file" 2>&1
        if ($LASTEXITCODE -ne 0) {
            throw "auditpol /backup ended with $LASTEXITCODE`: $output"
        }
        $bytes = [byte[]]@([System.IO.File]::ReadAllBytes($file) | Where-Object -FilterScript { $_ -ne 0 })
        $text = [System.Text.Encoding]::ASCII.GetString($bytes)
    }
    finally {
        Remove-Item -LiteralPath $file -Force -ErrorAction SilentlyContinue
    }
    $policy = @{}
    foreach ($line in ($text -split "`r?`n")) {
        # Lines of one user's policy name a SID and are none of ours.
        if ($line -notmatch 'S-1-' -and $line -match '\{(?<guid>0CCE92[0-9A-F]{2})-[^}]+\}.*,(?<bits>[0-3])\s*$') {
            $policy[$Matches['guid'].ToUpperInvariant()] = [int]$Matches['bits']
        }
    }
    if ($policy.Count -eq 0) {
        throw 'auditpol /backup named no subcategory: its file has a format that this module does not know'
    }
    $policy
}

function Write-AuditPolicy {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([string]$Guid, [int]$Bits)
    if ($PSCmdlet.ShouldProcess($Guid, "audit $Bits")) {
        $success = if ($Bits -band 1) { 'enable' } else { 'disable' }
        $failure = if ($Bits -band 2) { 'enable' } else { 'disable' }
        $output = & "$env:SystemRoot\System32\auditpol.exe" /set "/subcategory:{$Guid}" "/success:$success" "/failure:$failure" 2>&1
        if ($LASTEXITCODE -ne 0) {
            throw "auditpol /set ended with $LASTEXITCODE`: $output"
        }
    }
}

$changes = [System.Collections.Generic.List[object]]@()
try {
    $current = Get-AuditPolicy
}
catch {
    $module.FailJson("the audit policy cannot be read: $($_.Exception.Message)", $_)
}
foreach ($wanted in $module.Params.policies) {
    $short = $subcategories[$wanted.subcategory]
    if (-not $current.ContainsKey($short)) {
        $module.FailJson("this Windows has no audit subcategory '$($wanted.subcategory)'")
    }
    if ($current[$short] -ne $bits[$wanted.audit]) {
        $before = $words[$current[$short]]
        try {
            Write-AuditPolicy -Guid ($short + $guidTail) -Bits $bits[$wanted.audit] -WhatIf:$module.CheckMode
        }
        catch {
            $module.FailJson("audit subcategory '$($wanted.subcategory)': $($_.Exception.Message)", $_)
        }
        $changes.Add(@{ subcategory = $wanted.subcategory; before = $before; after = $wanted.audit })
    }
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.subcategory, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.subcategory, $_.after }) -join "`n"
$module.ExitJson()
