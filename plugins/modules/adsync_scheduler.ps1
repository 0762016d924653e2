#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        cycle_enabled = @{ type = 'bool' }
        staging_mode = @{ type = 'bool' }
        interval_minutes = @{ type = 'int' }
        maintenance = @{ type = 'bool' }
        run_history_days = @{ type = 'int' }
        next_policy = @{ type = 'str'; choices = 'delta', 'initial' }
        run_cycle = @{ type = 'str'; choices = 'delta', 'initial' }
        accepted_results = @{ type = 'list'; elements = 'str'; default = @('success', 'completed-no-objects') }
        timeout_minutes = @{ type = 'int'; default = 60 }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
$staging = 'Microsoft.Synchronize.StagingMode'

# What the options are called by Get- and Set-ADSyncScheduler, and how each side writes them.
$table = @{
    cycle_enabled = @{ parameter = 'SyncCycleEnabled'; read = { param ($s) $s.SyncCycleEnabled } }
    interval_minutes = @{
        parameter = 'CustomizedSyncCycleInterval'
        read = { param ($s) [int]$s.CurrentlyEffectiveSyncCycleInterval.TotalMinutes }
        write = { param ($v) [System.TimeSpan]::FromMinutes($v) }
    }
    maintenance = @{ parameter = 'MaintenanceEnabled'; read = { param ($s) $s.MaintenanceEnabled } }
    run_history_days = @{
        parameter = 'PurgeRunHistoryInterval'
        read = { param ($s) [int]$s.PurgeRunHistoryInterval.TotalDays }
        write = { param ($v) [System.TimeSpan]::FromDays($v) }
    }
    next_policy = @{ parameter = 'NextSyncCyclePolicyType'; read = { param ($s) ([string]$s.NextSyncCyclePolicyType).ToLower() } }
    staging_mode = @{ parameter = ''; read = { param ($s) $s.StagingModeEnabled } }
}

Function Wait-Idle {
    param ([string]$For)
    $end = [System.DateTime]::UtcNow.AddMinutes($module.Params.timeout_minutes)
    while ((Get-ADSyncScheduler).SyncCycleInProgress) {
        if ([System.DateTime]::UtcNow -gt $end) {
            $module.FailJson("A synchronisation cycle still runs after $($module.Params.timeout_minutes) minutes, so that $For is refused; see the" +
                " Synchronization Service Manager, or stop it (Stop-ADSyncSyncCycle), then run this again")
        }
        Start-Sleep -Seconds 5
    }
}

Function Set-Staging {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([bool]$Enabled)
    # There is no cmdlet of its own: the wizard writes this setting, and Set-ADSyncScheduler must not (Microsoft Learn, "Scheduler").
    if ($PSCmdlet.ShouldProcess($staging, 'set')) {
        $settings = Get-ADSyncGlobalSettings
        $parameter = @($settings.Parameters | Where-Object { $_.Name -eq $staging })
        if ($parameter.Count -eq 0) { throw "the sync engine has no setting $staging; use the wizard (Configure staging mode)" }
        $parameter[0].Value = $Enabled.ToString([System.Globalization.CultureInfo]::InvariantCulture)
        $null = Set-ADSyncGlobalSettings -GlobalSettings $settings
    }
}

Function Invoke-Cycle {
    param ([string]$Policy)
    if ((Get-ADSyncScheduler).SchedulerSuspended) {
        $module.FailJson('The scheduler is suspended, so that no cycle can run; close or finish AzureADConnect.exe on the server')
    }
    $before = [System.DateTime]::UtcNow.AddSeconds(-1)
    $null = Start-ADSyncSyncCycle -PolicyType $Policy
    Start-Sleep -Seconds 5
    Wait-Idle -For 'a verdict on the cycle'
    $runs = @(Get-ADSyncRunProfileResult -NumberRequested 50 | Where-Object { $_.StartDate -ge $before })
    if ($runs.Count -eq 0) { $module.FailJson("The $Policy cycle was started and left no run; see the Application log of the server") }
    foreach ($run in $runs) {
        if ($module.Params.accepted_results -notcontains [string]$run.Result) {
            $module.FailJson("The $Policy cycle did not succeed: $($run.ConnectorName), $($run.RunProfileName): $($run.Result);" +
                ' see the Synchronization Service Manager, and correct or accept it (adsync_accepted_results)')
        }
    }
}

try {
    Import-Module -Name ADSync
    $current = Get-ADSyncScheduler
}
catch {
    $module.FailJson("The sync engine does not answer; see that ADSync runs and that the account of Ansible is in ADSyncAdmins: $_", $_)
}

$before = @{}
$after = @{}
foreach ($name in $table.Keys) {
    $wanted = $module.Params[$name]
    if ($null -eq $wanted) { continue }
    $held = & $table[$name].read $current
    if ($held -ne $wanted) {
        $before[$name] = $held
        $after[$name] = $wanted
    }
}
if ($module.Params.run_cycle) { $after['run_cycle'] = $module.Params.run_cycle }

$module.Result.changed = $after.Count -gt 0
$module.Diff.before = $before
$module.Diff.after = $after
if ($module.CheckMode -or -not $module.Result.changed) { $module.ExitJson() }

try {
    $arguments = @{}
    foreach ($name in @($after.Keys | Where-Object { $table.ContainsKey($_) -and $table[$_].parameter })) {
        $value = $after[$name]
        if ($table[$name].ContainsKey('write')) { $value = & $table[$name].write $value }
        $arguments[$table[$name].parameter] = $value
    }
    if ($arguments.Count -gt 0) { $null = Set-ADSyncScheduler @arguments }
    if ($after.ContainsKey('cycle_enabled') -and -not $after['cycle_enabled']) { Wait-Idle -For 'the end of the last cycle' }
    if ($after.ContainsKey('staging_mode')) {
        Wait-Idle -For 'a change of the staging mode'
        Set-Staging -Enabled $after['staging_mode'] -WhatIf:$module.CheckMode
    }
    if ($after.ContainsKey('run_cycle')) {
        Wait-Idle -For 'a cycle'
        Invoke-Cycle -Policy $after['run_cycle']
    }
}
catch {
    $module.FailJson("The scheduler of Entra Connect Sync could not be changed ($(@($after.Keys) -join ', ')): $_", $_)
}
$module.ExitJson()
