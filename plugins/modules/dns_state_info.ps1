#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        records = @{
            type = 'list'
            elements = 'dict'
            default = @()
            options = @{
                zone = @{ type = 'str'; required = $true }
                name = @{ type = 'str'; required = $true }
                type = @{ type = 'str'; required = $true; choices = 'A', 'AAAA', 'CNAME', 'MX', 'NS', 'PTR', 'SRV', 'TXT' }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$service = @(Get-Service -Name DNS -ErrorAction Ignore)
if ($service.Count -eq 0 -or @(Get-Module -ListAvailable -Name DnsServer).Count -eq 0) {
    $module.Result.state = @{ available = $false }
    $module.ExitJson()
}
try {
    Import-Module -Name DnsServer
    $zones = @(Get-DnsServerZone | Where-Object { -not $_.IsAutoCreated -and $_.ZoneName -ne 'TrustAnchors' })
}
catch {
    $module.FailJson("The DNS server does not answer; see that the service DNS runs: $_", $_)
}

Function Get-ZoneState {
    param ([Parameter(Mandatory = $true)]$Zone)
    $state = @{
        name = $Zone.ZoneName
        type = $Zone.ZoneType.ToLowerInvariant()
        ds_integrated = [bool]$Zone.IsDsIntegrated
        replication = $(if ($Zone.IsDsIntegrated) { $Zone.ReplicationScope.ToLowerInvariant() } else { 'none' })
        servers = @()
    }
    if ($state.type -eq 'forwarder') {
        $state.servers = @($Zone.MasterServers | ForEach-Object -Process { $_.IPAddressToString })
        $state.timeout_seconds = [int]$Zone.ForwarderTimeout
    }
    if ($state.type -eq 'primary') {
        $aging = Get-DnsServerZoneAging -Name $Zone.ZoneName
        $state.dynamic_update = $Zone.DynamicUpdate.ToLowerInvariant()
        $state.aging = [bool]$aging.AgingEnabled
        $state.refresh_hours = [int]$aging.RefreshInterval.TotalHours
        $state.no_refresh_hours = [int]$aging.NoRefreshInterval.TotalHours
    }
    return $state
}

Function Get-RecordValue {
    param (
        [Parameter(Mandatory = $true)]$Record,
        [Parameter(Mandatory = $true)][string]$Type
    )
    $data = $Record.RecordData
    $value = @{ ttl_seconds = [int]$Record.TimeToLive.TotalSeconds; aged = $null -ne $Record.Timestamp }
    $value.value = switch ($Type) {
        'A' { $data.IPv4Address.IPAddressToString }
        'AAAA' { $data.IPv6Address.IPAddressToString }
        'CNAME' { $data.HostNameAlias }
        'MX' { $data.MailExchange }
        'NS' { $data.NameServer }
        'PTR' { $data.PtrDomainName }
        'SRV' { $data.DomainName }
        'TXT' { $data.DescriptiveText }
    }
    if ($Type -eq 'MX') { $value.priority = [int]$data.Preference }
    if ($Type -eq 'SRV') {
        $value.port = [int]$data.Port
        $value.priority = [int]$data.Priority
        $value.weight = [int]$data.Weight
    }
    return $value
}

$names = @($zones | ForEach-Object -Process { $_.ZoneName })
$forwarder = Get-DnsServerForwarder
$scavenging = Get-DnsServerScavenging

$module.Result.state = @{
    available = $true
    forwarders = @{
        addresses = @($forwarder.IPAddress | Where-Object { $_ } | ForEach-Object -Process { $_.IPAddressToString })
        use_root_hints = [bool]$forwarder.UseRootHint
    }
    scavenging = @{
        enabled = [bool]$scavenging.ScavengingState
        interval_hours = [int]$scavenging.ScavengingInterval.TotalHours
        refresh_hours = [int]$scavenging.RefreshInterval.TotalHours
        no_refresh_hours = [int]$scavenging.NoRefreshInterval.TotalHours
    }
    zones = @(foreach ($zone in $zones) { Get-ZoneState -Zone $zone })
    records = @(
        foreach ($asked in $module.Params.records) {
            if ($names -notcontains $asked.zone) { continue }
            $found = @(
                Get-DnsServerResourceRecord -ZoneName $asked.zone -Name $asked.name -RRType $asked.type -Node -ErrorAction Ignore
            )
            @{
                zone = $asked.zone
                name = $asked.name
                type = $asked.type
                values = @(foreach ($record in $found) { Get-RecordValue -Record $record -Type $asked.type })
            }
        }
    )
}
$module.ExitJson()
