#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        paths = @{ type = 'list'; elements = 'str'; default = @() }
        firewall_group = @{ type = 'str'; required = $true }
        task_folder = @{ type = 'str'; required = $true }
        event_source = @{ type = 'str'; required = $true }
        time_server = @{ type = 'str'; default = '' }
        openssh_directory = @{ type = 'str'; default = '' }
        flows = @{
            type = 'list'
            elements = 'dict'
            default = @()
            options = @{
                name = @{ type = 'str'; required = $true }
                backlog = @{ type = 'list'; elements = 'str'; required = $true }
                archive = @{ type = 'str'; required = $true }
                metrics = @{ type = 'str'; default = '' }
            }
        }
        far_ends = @{
            type = 'list'
            elements = 'dict'
            default = @()
            options = @{
                name = @{ type = 'str'; required = $true }
                host = @{ type = 'str'; required = $true }
                port = @{ type = 'int'; required = $true }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
$timeout = 5

Function Get-Stamp {
    # A moment in UTC; the scheduler says "never" by a date of the last century.
    param ([AllowNull()]$Moment)
    if ($null -eq $Moment -or ([System.DateTime]$Moment).Year -lt 2000) { return '' }
    ([System.DateTime]$Moment).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

Function Get-PathState {
    param ([string]$Path)
    if (-not (Test-Path -LiteralPath $Path)) { return @{ path = $Path; exists = $false; sddl = '' } }
    $section = [System.Security.AccessControl.AccessControlSections]::Access
    @{ path = $Path; exists = $true; sddl = (Get-Acl -LiteralPath $Path).GetSecurityDescriptorSddlForm($section) }
}

Function Get-ProfileState {
    foreach ($entry in @(Get-NetFirewallProfile)) {
        @{
            name = $entry.Name.ToLowerInvariant()
            enabled = $entry.Enabled.ToString() -eq 'True'
            outbound_action = $entry.DefaultOutboundAction.ToString().ToLowerInvariant()
        }
    }
}

Function Get-RuleState {
    # Numbers of INetFwRule, see https://learn.microsoft.com/windows/win32/api/netfw/nn-netfw-inetfwrule.
    $policy = New-Object -ComObject HNetCfg.FwPolicy2
    foreach ($rule in @($policy.Rules | Where-Object { [string]$_.Grouping -eq $module.Params.firewall_group })) {
        @{
            name = $rule.Name
            enabled = [bool]$rule.Enabled
            direction = @{ 1 = 'in'; 2 = 'out' }[[int]$rule.Direction]
            action = @{ 0 = 'block'; 1 = 'allow' }[[int]$rule.Action]
            protocol = $(if ($rule.Protocol -eq 6) { 'tcp' } elseif ($rule.Protocol -eq 17) { 'udp' } else { [string]$rule.Protocol })
            remote_ports = [string]$rule.RemotePorts
            remote_addresses = [string]$rule.RemoteAddresses
            profiles = @(
                if ($rule.Profiles -band 1) { 'domain' }
                if ($rule.Profiles -band 2) { 'private' }
                if ($rule.Profiles -band 4) { 'public' }
            )
        }
    }
}

Function Get-TaskState {
    # The definition is the scheduler's own file: the same in every language, with SIDs.
    $folder = '\{0}\' -f $module.Params.task_folder.Trim('\')
    foreach ($task in @(Get-ScheduledTask -TaskPath $folder -ErrorAction Ignore)) {
        $file = "$env:SystemRoot\System32\Tasks$folder$($task.TaskName)"
        $last = $task | Get-ScheduledTaskInfo
        @{
            name = $task.TaskName
            definition = [string](Get-Content -LiteralPath $file -Raw)
            registered = Get-Stamp -Moment (Get-Item -LiteralPath $file).CreationTime
            last_run = Get-Stamp -Moment $last.LastRunTime
            last_result = [long]$last.LastTaskResult
        }
    }
}

Function Get-TrafficState {
    param ([System.Collections.IDictionary]$Flow)
    $waiting = @($Flow.backlog | Where-Object { Test-Path -LiteralPath $_ } | ForEach-Object -Process { Get-ChildItem -LiteralPath $_ -File })
    $kept = @()
    if (Test-Path -LiteralPath $Flow.archive) {
        $kept = @(Get-ChildItem -LiteralPath $Flow.archive -File | Sort-Object -Property LastWriteTimeUtc)
    }
    $written = ''
    if ($Flow.metrics -and (Test-Path -LiteralPath $Flow.metrics)) {
        $written = Get-Stamp -Moment (Get-Item -LiteralPath $Flow.metrics).LastWriteTimeUtc
    }
    @{
        name = $Flow.name
        backlog = $waiting.Count
        newest_archive = $(if ($kept.Count -gt 0) { Get-Stamp -Moment $kept[-1].LastWriteTimeUtc } else { '' })
        oldest_archive = $(if ($kept.Count -gt 0) { Get-Stamp -Moment $kept[0].LastWriteTimeUtc } else { '' })
        metrics = $written
    }
}

Function Get-FarEndState {
    param ([System.Collections.IDictionary]$FarEnd)
    $ErrorActionPreference = 'Continue'
    $client = New-Object -TypeName System.Net.Sockets.TcpClient
    try { $open = $client.ConnectAsync($FarEnd.host, $FarEnd.port).Wait($timeout * 1000) } catch { $open = $false }
    $client.Dispose()
    $keys = @()
    $scan = Join-Path -Path $module.Params.openssh_directory -ChildPath 'ssh-keyscan.exe'
    if ($open -and (Test-Path -LiteralPath $scan)) {
        # Its answer has "host type key" a line; what it says beside goes to the error stream.
        $lines = @(& $scan '-T' $timeout '-p' $FarEnd.port $FarEnd.host 2>$null)
        $keys = @($lines | Where-Object { $_ -match '^[^#\s]+ \S+ \S+$' } | ForEach-Object -Process { ($_ -split ' ', 2)[1] })
    }
    @{ name = $FarEnd.name; reachable = $open; host_keys = $keys }
}

Function Get-ClockOffset {
    # Seconds between this clock and a server's, empty when it does not answer.
    $ErrorActionPreference = 'Continue'
    if (-not $module.Params.time_server) { return '' }
    $options = '/stripchart', "/computer:$($module.Params.time_server)", '/samples:1', '/dataonly'
    $said = @(& "$env:SystemRoot\System32\w32tm.exe" $options 2>&1 | ForEach-Object -Process { [string]$_ })
    $measured = @($said | Where-Object { $_ -match '([+-]\d+\.\d+)s' } | ForEach-Object -Process { $_ -replace '^.*?([+-]\d+\.\d+)s.*$', '$1' })
    if ($measured.Count -gt 0) { $measured[-1] } else { '' }
}

try {
    $module.Result.state = @{
        folders = @($module.Params.paths | ForEach-Object -Process { Get-PathState -Path $_ })
        profiles = @(Get-ProfileState)
        rules = @(Get-RuleState)
        tasks = @(Get-TaskState)
        flows = @($module.Params.flows | ForEach-Object -Process { Get-TrafficState -Flow $_ })
        far_ends = @($module.Params.far_ends | ForEach-Object -Process { Get-FarEndState -FarEnd $_ })
        event_source = Test-Path -LiteralPath "HKLM:\SYSTEM\CurrentControlSet\Services\EventLog\Application\$($module.Params.event_source)"
        clock_offset = Get-ClockOffset
    }
}
catch {
    $module.FailJson("the state of the exchanges cannot be read: $($_.Exception.Message)", $_)
}
$module.ExitJson()
