#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        services = @{ type = 'list'; elements = 'str'; default = @() }
        event_sources = @{ type = 'list'; elements = 'str'; default = @() }
        event_days = @{ type = 'int'; default = 30 }
        export_task = @{ type = 'str'; default = '' }
        export_folder = @{ type = 'str'; default = '' }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$invariant = [System.Globalization.CultureInfo]::InvariantCulture
# Microsoft's own identifier of the connector to Entra ID, the same everywhere.
$entra = 'b891884f-051e-4a83-95af-2544101c9083'
$engine = 'ADSync'

Function Get-Stamp {
    param ([AllowNull()]$Moment)
    # Windows says "never" by a date of the year 1601 or 1999 and before.
    if ($null -eq $Moment -or ([System.DateTime]$Moment).Year -lt 2000) { return '' }
    ([System.DateTime]$Moment).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
}

Function Get-UtcStamp {
    param ([AllowNull()]$Moment)
    # The sync engine keeps its times in UTC without saying so.
    if ($null -eq $Moment) { return '' }
    Get-Stamp -Moment ([System.DateTime]::SpecifyKind([System.DateTime]$Moment, [System.DateTimeKind]::Utc))
}

Function Get-RegistryData {
    param ([string]$Path, [string]$Name)
    $key = Get-Item -LiteralPath $Path -ErrorAction Ignore
    if ($null -eq $key) { $null } else { $key.GetValue($Name, $null) }
}

Function Get-NamedValue {
    # The value of a named parameter of the sync engine; empty when there is none.
    param ([AllowNull()]$Parameters, [string]$Name)
    $found = @($Parameters | Where-Object { $_.Name -eq $Name })
    if ($found.Count -eq 0) { '' } else { [string]$found[0].Value }
}

Function Get-ServiceState {
    param ([string[]]$Names)
    foreach ($name in $Names) {
        $found = @(Get-CimInstance -ClassName Win32_Service -Filter "Name='$name'")
        if ($found.Count -eq 0) { @{ name = $name; state = ''; start_mode = ''; account = '' }; continue }
        @{ name = $name; state = $found[0].State.ToLower(); start_mode = $found[0].StartMode.ToLower(); account = $found[0].StartName }
    }
}

Function Get-CertificateRow {
    param ($Certificate, [string]$Store)
    $hash = [System.Security.Cryptography.SHA256]::Create().ComputeHash($Certificate.RawData)
    @{
        thumbprint = $Certificate.Thumbprint
        sha256 = [System.BitConverter]::ToString($hash).Replace('-', '')
        subject = $Certificate.Subject
        store = $Store
        not_before = Get-Stamp -Moment $Certificate.NotBefore
        not_after = Get-Stamp -Moment $Certificate.NotAfter
    }
}

Function Get-CertificateState {
    <#
    .SYNOPSIS
    Certificates of the service account's own store, which lies in its profile, and those of the machine with a key.
    #>
    param ([string]$Account)
    $kind = 'System.Security.Principal.SecurityIdentifier'
    $sid = (New-Object -TypeName System.Security.Principal.NTAccount -ArgumentList ($Account -replace '^\.\\', '')).Translate($kind).Value
    $userProfile = Get-RegistryData -Path "HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\$sid" -Name ProfileImagePath
    if ($userProfile) {
        $folder = Join-Path -Path $userProfile -ChildPath 'AppData\Roaming\Microsoft\SystemCertificates\My\Certificates'
        foreach ($file in @(Get-ChildItem -LiteralPath $folder -File -Force -ErrorAction Ignore)) {
            $kind = 'System.Security.Cryptography.X509Certificates.X509Certificate2'
            Get-CertificateRow -Certificate (New-Object -TypeName $kind -ArgumentList $file.FullName) -Store 'current_user'
        }
    }
    foreach ($own in @(Get-ChildItem -LiteralPath 'Cert:\LocalMachine\My' | Where-Object { $_.HasPrivateKey })) {
        Get-CertificateRow -Certificate $own -Store 'local_machine'
    }
}

Function Get-RunState {
    foreach ($run in @(Get-ADSyncRunProfileResult -NumberRequested 200)) {
        @{
            connector = $run.ConnectorName
            profile = $run.RunProfileName
            result = [string]$run.Result
            complete = [bool]$run.IsRunComplete
            start = Get-UtcStamp -Moment $run.StartDate
            end = $(if ($run.IsRunComplete) { Get-UtcStamp -Moment $run.EndDate } else { '' })
        }
    }
}

Function Get-EventState {
    # 1011: certificate due; 1012: expired; 1014: its key is not in a TPM.
    $since = [System.DateTime]::Now.AddDays(-$module.Params.event_days)
    $filter = @{ LogName = 'Application'; Id = 1011, 1012, 1014; StartTime = $since }
    # Other programs use the same numbers.
    foreach ($entry in @(Get-WinEvent -FilterHashtable $filter -ErrorAction Ignore | Sort-Object -Property TimeCreated)) {
        if ($module.Params.event_sources -contains $entry.ProviderName) {
            @{ id = $entry.Id; time = Get-Stamp -Moment $entry.TimeCreated }
        }
    }
}

Function Get-ExportState {
    $state = @{ task = $false; registered = ''; last_run = ''; last_result = 0; kept = 0 }
    if (-not $module.Params.export_task) { return $state }
    if ($module.Params.export_folder) {
        $state.kept = @(Get-ChildItem -LiteralPath $module.Params.export_folder -Directory -ErrorAction Ignore).Count
    }
    $task = @(Get-ScheduledTask -TaskName $module.Params.export_task -ErrorAction Ignore)
    if ($task.Count -eq 0) { return $state }
    $file = Join-Path -Path "$env:SystemRoot\System32\Tasks" -ChildPath ($task[0].TaskPath.Trim('\') + '\' + $task[0].TaskName)
    $info = Get-ScheduledTaskInfo -InputObject $task[0]
    $state.task = $true
    $state.registered = Get-Stamp -Moment (Get-Item -LiteralPath $file).CreationTime
    $state.last_run = Get-Stamp -Moment $info.LastRunTime
    # A run that is under way (0x41301) has no result yet.
    if ($state.last_run -and $info.LastTaskResult -ne 267009) { $state.last_result = [int]$info.LastTaskResult }
    return $state
}

$frameworks = '', 'Wow6432Node\' | ForEach-Object -Process { "HKLM:\SOFTWARE\$($_)Microsoft\.NETFramework\v4.0.30319" }
$program = "$env:ProgramFiles\Microsoft Azure Active Directory Connect\AzureADConnect.exe"
$services = @(Get-ServiceState -Names (@($engine) + @($module.Params.services) | Select-Object -Unique))
$spooler = @(Get-ServiceState -Names 'Spooler')

$state = @{
    time = Get-Stamp -Moment ([System.DateTime]::UtcNow)
    in_domain = (Get-CimInstance -ClassName Win32_ComputerSystem).PartOfDomain
    dotnet_release = [int](Get-RegistryData -Path 'HKLM:\SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full' -Name Release)
    version = ''
    engine_version = ''
    configured = $false
    restart_awaited = $null -ne (Get-RegistryData -Path 'HKLM:\SOFTWARE\cnosf.infogerance.awaited' -Name "restart:$engine")
    spooler_running = $spooler[0].state -eq 'running'
    services = @($services | ForEach-Object -Process { @{ name = $_.name; state = $_.state; start_mode = $_.start_mode } })
    tls = @(
        foreach ($path in $frameworks) {
            foreach ($name in 'SchUseStrongCrypto', 'SystemDefaultTlsVersions') {
                @{ path = $path; name = $name; data = Get-RegistryData -Path $path -Name $name }
            }
        }
    )
    scheduler = $null
    identity = $null
    certificates = @()
    runs = @()
    events = @(Get-EventState)
    export = Get-ExportState
}
if (Test-Path -LiteralPath $program) {
    $state.version = (Get-Item -LiteralPath $program).VersionInfo.ProductVersion
}

if ($services[0].state -eq 'running') {
    try {
        Import-Module -Name $engine
        $connectors = @(Get-ADSyncConnector)
        $cloud = @($connectors | Where-Object { [string]$_.Identifier -eq $entra })
        if ($cloud.Count -gt 0 -and $connectors.Count -gt 1) {
            $settings = (Get-ADSyncGlobalSettings).Parameters
            $scheduler = Get-ADSyncScheduler
            $state.configured = $true
            $state.engine_version = Get-NamedValue -Parameters $settings -Name 'Microsoft.Synchronize.ServerConfigurationVersion'
            $state.scheduler = @{
                cycle_enabled = $scheduler.SyncCycleEnabled
                staging_mode = $scheduler.StagingModeEnabled
                suspended = $scheduler.SchedulerSuspended
                maintenance = $scheduler.MaintenanceEnabled
                in_progress = $scheduler.SyncCycleInProgress
                interval_minutes = [int]$scheduler.CurrentlyEffectiveSyncCycleInterval.TotalMinutes
                allowed_interval_minutes = [int]$scheduler.AllowedSyncCycleInterval.TotalMinutes
                run_history_days = [int]$scheduler.PurgeRunHistoryInterval.TotalDays
                next_policy = ([string]$scheduler.NextSyncCyclePolicyType).ToLower()
            }
            $connectivity = $cloud[0].ConnectivityParameters
            $state.identity = @{
                type = [string](Get-ADSyncEntraConnectorCredential).ConnectorIdentityType
                application_managed_by = Get-NamedValue -Parameters $connectivity -Name ApplicationManagedBy
                certificate_managed_by = Get-NamedValue -Parameters $connectivity -Name CertificateManagedBy
                certificate_id = Get-NamedValue -Parameters $connectivity -Name CertificateId
            }
            $state.certificates = @(Get-CertificateState -Account $services[0].account)
            $state.runs = @(Get-RunState)
        }
    }
    catch {
        $module.FailJson("The sync engine does not answer; see that AzureADConnect.exe is closed and that the account of Ansible is in ADSyncAdmins: $_", $_)
    }
}
$module.Result.state = $state
$module.ExitJson()
