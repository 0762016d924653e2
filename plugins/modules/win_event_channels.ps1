#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$mebibyte = 1048576
$modes = @{ circular = 'Circular'; archive = 'AutoBackup'; retain = 'Retain' }

$spec = @{
    options = @{
        channels = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                name = @{ type = 'str'; required = $true }
                enabled = @{ type = 'bool' }
                max_size_mib = @{ type = 'int' }
                mode = @{ type = 'str'; choices = 'circular', 'archive', 'retain' }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

function Get-ChannelChange {
    # What differs between a channel and its declaration: one entry for each property.
    param ([System.Diagnostics.Eventing.Reader.EventLogConfiguration]$Channel, [System.Collections.IDictionary]$Wanted)
    if ($null -ne $Wanted['enabled'] -and $Channel.IsEnabled -ne $Wanted['enabled']) {
        @{ property = 'enabled'; before = $Channel.IsEnabled; after = $Wanted['enabled'] }
    }
    if ($null -ne $Wanted['max_size_mib']) {
        $size = [long]$Wanted['max_size_mib'] * $mebibyte
        if ($Channel.MaximumSizeInBytes -ne $size) {
            @{ property = 'max_size_mib'; before = $Channel.MaximumSizeInBytes / $mebibyte; after = $Wanted['max_size_mib'] }
        }
    }
    if ($null -ne $Wanted['mode'] -and $Channel.LogMode.ToString() -ne $modes[$Wanted['mode']]) {
        $before = @($modes.Keys | Where-Object -FilterScript { $modes[$_] -eq $Channel.LogMode.ToString() })[0]
        @{ property = 'mode'; before = $before; after = $Wanted['mode'] }
    }
}

function Write-Channel {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([System.Diagnostics.Eventing.Reader.EventLogConfiguration]$Channel, [System.Collections.IDictionary]$Wanted)
    if ($PSCmdlet.ShouldProcess($Channel.LogName, 'configure')) {
        if ($null -ne $Wanted['enabled']) {
            $Channel.IsEnabled = $Wanted['enabled']
        }
        if ($null -ne $Wanted['max_size_mib']) {
            $Channel.MaximumSizeInBytes = [long]$Wanted['max_size_mib'] * $mebibyte
        }
        if ($null -ne $Wanted['mode']) {
            $Channel.LogMode = [System.Diagnostics.Eventing.Reader.EventLogMode]$modes[$Wanted['mode']]
        }
        $Channel.SaveChanges()
    }
}

$changes = [System.Collections.Generic.List[object]]@()
foreach ($wanted in $module.Params.channels) {
    try {
        $channel = New-Object -TypeName System.Diagnostics.Eventing.Reader.EventLogConfiguration -ArgumentList $wanted.name
        try {
            $found = @(Get-ChannelChange -Channel $channel -Wanted $wanted)
            if ($found.Count -gt 0) {
                Write-Channel -Channel $channel -Wanted $wanted -WhatIf:$module.CheckMode
                foreach ($change in $found) {
                    $changes.Add(@{ name = $wanted.name; property = $change.property; before = $change.before; after = $change.after })
                }
            }
        }
        finally {
            $channel.Dispose()
        }
    }
    catch {
        $module.FailJson("event channel '$($wanted.name)': $($_.Exception.Message)", $_)
    }
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.after }) -join "`n"
$module.ExitJson()
