#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{}
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$service = @(Get-Service -Name DHCPServer -ErrorAction Ignore)
if ($service.Count -eq 0 -or @(Get-Module -ListAvailable -Name DhcpServer).Count -eq 0) {
    $module.Result.state = @{ available = $false }
    $module.ExitJson()
}
try {
    Import-Module -Name DhcpServer
    $scopes = @(Get-DhcpServerv4Scope)
}
catch {
    $module.FailJson("The DHCP server does not answer; see that the service DHCPServer runs: $_", $_)
}

Function Get-OptionState {
    <#
    .SYNOPSIS
    Options of the server, or of a scope, of no vendor or user class.
    #>
    param ([Parameter()][string]$ScopeId)
    $where = @{}
    if ($ScopeId) { $where.ScopeId = $ScopeId }
    foreach ($option in @(Get-DhcpServerv4OptionValue @where -ErrorAction Ignore)) {
        if (-not $option.VendorClass -and -not $option.UserClass) {
            @{ id = [int]$option.OptionId; values = @($option.Value | ForEach-Object -Process { [string]$_ }) }
        }
    }
}

Function Get-ScopeState {
    param ([Parameter(Mandatory = $true)]$Scope)
    $id = $Scope.ScopeId.IPAddressToString
    @{
        id = $id
        name = [string]$Scope.Name
        mask = $Scope.SubnetMask.IPAddressToString
        start = $Scope.StartRange.IPAddressToString
        end = $Scope.EndRange.IPAddressToString
        lease_minutes = [int]$Scope.LeaseDuration.TotalMinutes
        description = [string]$Scope.Description
        active = $Scope.State -eq 'Active'
        exclusions = @(
            foreach ($range in @(Get-DhcpServerv4ExclusionRange -ScopeId $id -ErrorAction Ignore)) {
                @{ start = $range.StartRange.IPAddressToString; end = $range.EndRange.IPAddressToString }
            }
        )
        options = @(Get-OptionState -ScopeId $id)
        reservations = @(
            foreach ($reservation in @(Get-DhcpServerv4Reservation -ScopeId $id -ErrorAction Ignore)) {
                @{
                    address = $reservation.IPAddress.IPAddressToString
                    mac = $reservation.ClientId
                    name = [string]$reservation.Name
                    description = [string]$reservation.Description
                }
            }
        )
    }
}

# Server Manager's own mark that the first configuration was done (role 12 is DHCP).
$mark = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\ServerManager\Roles\12' -ErrorAction Ignore
$configured = $null -ne $mark -and $null -ne $mark.PSObject.Properties['ConfigurationState'] -and $mark.ConfigurationState -eq 2

$computer = Get-CimInstance -ClassName Win32_ComputerSystem
$authorized = $false
if ($computer.PartOfDomain) {
    $fqdn = '{0}.{1}' -f $computer.Name, $computer.Domain
    $authorized = @(Get-DhcpServerInDC | Where-Object { $_.DnsName -eq $fqdn }).Count -gt 0
}

$module.Result.state = @{
    available = $true
    configured = $configured
    authorized = $authorized
    options = @(Get-OptionState)
    scopes = @(foreach ($scope in $scopes) { Get-ScopeState -Scope $scope })
}
$module.ExitJson()
