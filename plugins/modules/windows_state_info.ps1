#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        powershell_modules = @{ type = 'list'; elements = 'str'; default = @() }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

Function Get-InterfaceState {
    <#
    .SYNOPSIS
    Cards with an IPv4 address; loopback and the addresses that cards give themselves are left out.
    #>
    $addresses = @(Get-NetIPAddress -AddressFamily IPv4 | Where-Object { $_.IPAddress -notmatch '^(127|169\.254)\.' })
    foreach ($index in @($addresses | Select-Object -ExpandProperty InterfaceIndex -Unique)) {
        $own = @($addresses | Where-Object { $_.InterfaceIndex -eq $index })
        $servers = @((Get-DnsClientServerAddress -InterfaceIndex $index -AddressFamily IPv4).ServerAddresses)
        @{
            name = $own[0].InterfaceAlias
            addresses = @($own | ForEach-Object -Process { $_.IPAddress })
            dhcp = (Get-NetIPInterface -InterfaceIndex $index -AddressFamily IPv4).Dhcp.ToString() -eq 'Enabled'
            dns_servers = @($servers | Where-Object { $_ })
        }
    }
}

Function Test-RebootPending {
    <#
    .SYNOPSIS
    Whether servicing, Windows Update or a rename waits for a reboot.
    #>
    $names = 'HKLM:\SYSTEM\CurrentControlSet\Control\ComputerName'
    $active = (Get-ItemProperty -LiteralPath "$names\ActiveComputerName").ComputerName
    $next = (Get-ItemProperty -LiteralPath "$names\ComputerName").ComputerName
    $active -ne $next -or
    (Test-Path -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending') -or
    (Test-Path -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired')
}

$computer = Get-CimInstance -ClassName Win32_ComputerSystem
$version = [System.Environment]::OSVersion.Version
$invariant = [System.Globalization.CultureInfo]::InvariantCulture

# Win32_ComputerSystem.DomainRole: 1 and 3 are members, 4 is a domain controller, 5 the one that emulates the PDC.
$role = switch ($computer.DomainRole) {
    1 { 'member' }
    3 { 'member' }
    4 { 'domain_controller' }
    5 { 'domain_controller' }
    default { 'standalone' }
}

$installed = @()
if ($module.Params.powershell_modules.Count -gt 0) {
    $installed = @(Get-Module -ListAvailable -Name $module.Params.powershell_modules)
}

$module.Result.state = @{
    hostname = $computer.Name
    role = $role
    primary = $computer.DomainRole -eq 5
    domain = $(if ($computer.PartOfDomain) { $computer.Domain } else { '' })
    version = '{0}.{1}.{2}' -f $version.Major, $version.Minor, $version.Build
    time = [System.DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
    reboot_pending = Test-RebootPending
    interfaces = @(Get-InterfaceState)
    powershell_modules = @(
        foreach ($name in $module.Params.powershell_modules) {
            $found = @($installed | Where-Object { $_.Name -eq $name } | ForEach-Object -Process { $_.Version.ToString() })
            @{ name = $name; versions = $found }
        }
    )
}
$module.ExitJson()
