#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        policies = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                name = @{ type = 'str'; required = $true }
                backup_path = @{ type = 'str'; default = '' }
                backup_id = @{ type = 'str'; default = '' }
                backup_version = @{ type = 'str'; default = '' }
                purge = @{ type = 'bool'; default = $false }
                values = @{
                    type = 'list'
                    elements = 'dict'
                    default = @()
                    options = @{
                        key = @{ type = 'str'; required = $true; no_log = $false }
                        name = @{ type = 'str'; required = $true }
                        type = @{
                            type = 'str'
                            default = 'dword'
                            choices = 'dword', 'qword', 'string', 'expandstring', 'multistring'
                        }
                        data = @{ type = 'raw' }
                        state = @{ type = 'str'; default = 'present'; choices = 'present', 'absent' }
                    }
                }
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

# The line of a policy's comment that tells which backup it holds.
$mark = 'cnosf.infogerance.backup'

Function Get-ShortKey {
    <#
    .SYNOPSIS
    A key as this module writes it: HKLM\... or HKCU\....
    #>
    param ([Parameter(Mandatory = $true)][string]$Key)
    $short = $Key.Trim('\') -replace '^HKEY_LOCAL_MACHINE(?=\\|$)', 'HKLM' -replace '^HKEY_CURRENT_USER(?=\\|$)', 'HKCU'
    if ($short -notmatch '^(HKLM|HKCU)\\[^\\]') { throw "the key '$Key' must start with HKLM\ or HKCU\" }
    return $short
}

Function ConvertTo-Data {
    <#
    .SYNOPSIS
    Declared data as .NET keeps it: unsigned words stand in signed integers.
    #>
    param ([string]$Type, [AllowNull()]$Data)
    if ($null -eq $Data) { throw 'data is required when state is present' }
    switch ($Type) {
        'dword' { [System.BitConverter]::ToInt32([System.BitConverter]::GetBytes([System.Convert]::ToUInt32($Data)), 0) }
        'qword' { [System.BitConverter]::ToInt64([System.BitConverter]::GetBytes([System.Convert]::ToUInt64($Data)), 0) }
        'multistring' { , [string[]]@($Data) }
        default { [string]$Data }
    }
}

Function ConvertTo-Shown {
    <#
    .SYNOPSIS
    A value as it is compared and shown. Texts of policies end with a null character where they are read.
    #>
    param ([Parameter(Mandatory = $true)][string]$Type, [AllowNull()]$Data)
    $kind = $Type.ToLowerInvariant()
    $items = switch ($kind) {
        'dword' { [System.BitConverter]::ToUInt32([System.BitConverter]::GetBytes([int]$Data), 0) }
        'qword' { [System.BitConverter]::ToUInt64([System.BitConverter]::GetBytes([long]$Data), 0) }
        'binary' { [System.BitConverter]::ToString([byte[]]$Data) }
        default { @($Data) | ForEach-Object -Process { ([string]$_).TrimEnd([char]0) } }
    }
    return '{0}:{1}' -f $kind, (@($items) -join "`n")
}

Function Get-KeyValue {
    <#
    .SYNOPSIS
    All registry values of a policy below a key, as one table by key and name.
    #>
    param ([Parameter(Mandatory = $true)][Guid]$Id, [Parameter(Mandatory = $true)][string]$Key)
    try {
        $found = @(Get-GPRegistryValue -Guid $Id -Key $Key)
    }
    catch {
        if ($_.FullyQualifiedErrorId -notlike 'UnableToRetrievePolicyRegistryItem*') { throw }
        return # nothing is set below this key
    }
    foreach ($entry in $found) {
        $short = Get-ShortKey -Key $entry.FullKeyPath
        if (-not $entry.HasValue) {
            Get-KeyValue -Id $Id -Key $short
        }
        elseif ($entry.PolicyState.ToString() -eq 'Set') {
            @{ key = $short; name = $entry.ValueName; shown = ConvertTo-Shown -Type $entry.Type.ToString() -Data $entry.Value }
        }
    }
}

Function Get-PolicyContent {
    <#
    .SYNOPSIS
    The registry values of a policy by 'key\name'.
    #>
    param ([Parameter(Mandatory = $true)][Guid]$Id, [Parameter(Mandatory = $true)][AllowEmptyCollection()][string[]]$Declared)
    # The cmdlet does not list a whole hive: the usual branches are read, and those of what is declared.
    $roots = @('HKLM\SOFTWARE', 'HKLM\SYSTEM', 'HKCU\SOFTWARE') + @($Declared | ForEach-Object -Process { ($_ -split '\\')[0..1] -join '\' })
    $table = @{}
    foreach ($root in @($roots | Sort-Object -Unique)) {
        foreach ($value in @(Get-KeyValue -Id $Id -Key $root)) { $table['{0}\{1}' -f $value.key, $value.name] = $value }
    }
    return $table
}

Function Get-BackupMark {
    param ([Parameter(Mandatory = $true)]$Policy)
    if (-not $Policy.backup_id) { return '' }
    return ('{0} {1} {2}' -f $mark, ([Guid]$Policy.backup_id).ToString('B').ToUpperInvariant(), $Policy.backup_version).Trim()
}

Function Import-Backup {
    <#
    .SYNOPSIS
    Puts a backup's settings in place of all the settings of a policy, and notes it last: a run cut short imports again.
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ($Gpo, $Policy, [string]$Line)
    if ($PSCmdlet.ShouldProcess($Policy.name, 'import')) {
        $null = Import-GPO -BackupId ([Guid]$Policy.backup_id) -Path $Policy.backup_path -TargetGuid $Gpo.Id
        $kept = @(([string]$Gpo.Description -split "`r?`n") | Where-Object { $_ -and $_ -notlike "$mark *" })
        (Get-GPO -Guid $Gpo.Id).Description = ($kept + $Line) -join "`r`n"
    }
}

Function Set-PolicyState {
    <#
    .SYNOPSIS
    Brings one policy into its declared state and answers what of it was or would be changed.
    #>
    param ([Parameter(Mandatory = $true)]$Policy)
    $result = @{ name = $Policy.name; id = ''; created = $false; imported = $false; set = @(); removed = @() }
    if ($Policy.purge -and $Policy.backup_id) { throw 'purge would remove what the backup brings; declare one of the two' }
    if ([bool]$Policy.backup_id -ne [bool]$Policy.backup_path) { throw 'backup_path and backup_id belong together' }
    $wanted = @{}
    foreach ($value in $Policy['values']) {
        $key = Get-ShortKey -Key $value.key
        $entry = @{ key = $key; name = $value.name; type = $value.type; data = $null; shown = '' }
        if ($value.state -eq 'present') {
            $entry.data = ConvertTo-Data -Type $value.type -Data $value.data
            $entry.shown = ConvertTo-Shown -Type $value.type -Data $entry.data
        }
        $wanted['{0}\{1}' -f $key, $value.name] = $entry
    }
    $expected = Get-BackupMark -Policy $Policy
    $gpo = @(Get-GPO -All | Where-Object { $_.DisplayName -eq $Policy.name })
    $result.created = $gpo.Count -eq 0
    $held = @{}
    $lines = @()
    if (-not $result.created) {
        $result.id = $gpo[0].Id.ToString()
        $held = Get-PolicyContent -Id $gpo[0].Id -Declared @($wanted.Values | ForEach-Object -Process { $_.key })
        $lines = @([string]$gpo[0].Description -split "`r?`n")
    }
    $result.imported = [bool]$expected -and $lines -notcontains $expected
    if ($result.imported) {
        $folder = Join-Path -Path $Policy.backup_path -ChildPath ([Guid]$Policy.backup_id).ToString('B')
        if (-not (Test-Path -LiteralPath (Join-Path -Path $folder -ChildPath 'Backup.xml'))) {
            throw "there is no backup of a group policy in $folder; copy the folder that GPMC or Backup-GPO wrote there"
        }
    }
    if (-not $module.CheckMode) {
        if ($result.created) { $gpo = @(New-GPO -Name $Policy.name); $result.id = $gpo[0].Id.ToString() }
        if ($result.imported) {
            Import-Backup -Gpo $gpo[0] -Policy $Policy -Line $expected
            $held = Get-PolicyContent -Id $gpo[0].Id -Declared @($wanted.Values | ForEach-Object -Process { $_.key })
        }
    }
    foreach ($label in @($wanted.Keys | Sort-Object)) {
        $entry = $wanted[$label]
        $current = if ($held.ContainsKey($label)) { $held[$label].shown } else { $null }
        if ($null -eq $entry.data) {
            if ($null -eq $current) { continue }
            $result.removed += $label
        }
        elseif ($current -cne $entry.shown) {
            $result.set += $label
            if ($module.CheckMode) { continue }
            $null = Set-GPRegistryValue -Guid $gpo[0].Id -Key $entry.key -ValueName $entry.name -Type $entry.type -Value $entry.data
        }
    }
    if ($Policy.purge) { $result.removed += @($held.Keys | Where-Object { -not $wanted.ContainsKey($_) } | Sort-Object) }
    foreach ($label in $result.removed) {
        if ($module.CheckMode) { continue }
        $null = Remove-GPRegistryValue -Guid $gpo[0].Id -Key $held[$label].key -ValueName $held[$label].name
    }
    $touched = @($result.set + $result.removed)
    $before = @($touched | Where-Object { $held.ContainsKey($_) } | ForEach-Object -Process { '{0} = {1}' -f $_, $held[$_].shown })
    $after = @($result.set | ForEach-Object -Process { '{0} = {1}' -f $_, $wanted[$_].shown })
    if ($result.imported) {
        $before += @($lines | Where-Object { $_ -like "$mark *" })
        $after += $expected
    }
    $module.Diff.before[$Policy.name] = if ($result.created) { $null } else { $before }
    $module.Diff.after[$Policy.name] = $after
    return $result
}

$module.Diff.before = @{}
$module.Diff.after = @{}
$module.Result.policies = @(
    foreach ($policy in $module.Params.policies) {
        try {
            $state = Set-PolicyState -Policy $policy
        }
        catch {
            $module.FailJson("Group policy '$($policy.name)': $($_.Exception.Message)", $_)
        }
        if ($state.created -or $state.imported -or $state.set.Count -gt 0 -or $state.removed.Count -gt 0) {
            $module.Result.changed = $true
        }
        else {
            $module.Diff.before.Remove($policy.name)
            $module.Diff.after.Remove($policy.name)
        }
        $state
    }
)
$module.ExitJson()
