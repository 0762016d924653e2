#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        ports = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                name = @{ type = 'str'; required = $true }
                address = @{ type = 'str'; required = $true }
                protocol = @{ type = 'str'; choices = 'raw', 'lpr'; default = 'raw' }
                number = @{ type = 'int'; default = 9100 }
                lpr_queue = @{ type = 'str' }
                snmp = @{ type = 'bool'; default = $false }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# PrintManagement makes and removes ports and cannot change one: WMI can.
$properties = [ordered]@{
    address = 'HostAddress'
    protocol = 'Protocol'
    number = 'PortNumber'
    lpr_queue = 'Queue'
    snmp = 'SNMPEnabled'
}
$protocols = @{ raw = 1; lpr = 2 }
# Where the port monitor keeps its ports: the name holds a slash, which a path of PowerShell cannot.
$store = 'SYSTEM\CurrentControlSet\Control\Print\Monitors\Standard TCP/IP Port\Ports'

Function Get-PortName {
    <#
    .SYNOPSIS
    Names of the ports while the spooler does not answer.
    #>
    $key = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($store)
    if ($null -ne $key) {
        try { $key.GetSubKeyNames() } finally { $key.Dispose() }
    }
}

Function Write-Port {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([System.Management.ManagementObject]$Port, [System.Collections.IDictionary]$Values)
    if ($PSCmdlet.ShouldProcess($Port.GetPropertyValue('Name'), 'write')) {
        foreach ($property in $Values.Keys) { $Port.SetPropertyValue($property, $Values[$property]) }
        $Port.Scope.Options.EnablePrivileges = $true
        $null = $Port.Put()
    }
}

$running = (Get-Service -Name Spooler).Status -eq 'Running'
if (-not $running -and -not $module.CheckMode) {
    $module.FailJson('The print spooler does not run: start the service Spooler first')
}
$found = @{}
if ($running) {
    foreach ($port in ([wmisearcher]'SELECT * FROM Win32_TCPIPPrinterPort').Get()) { $found[$port.GetPropertyValue('Name')] = $port }
}
else {
    foreach ($name in @(Get-PortName)) { $found[$name] = $null }
}

$changes = [System.Collections.Generic.List[object]]@()
foreach ($wanted in $module.Params.ports) {
    try {
        $there = $found.ContainsKey($wanted.name)
        $port = if ($there) { $found[$wanted.name] } else { ([wmiclass]'Win32_TCPIPPrinterPort').CreateInstance() }
        if ($null -eq $port) { continue }
        $values = @{}
        if (-not $there) {
            $port.SetPropertyValue('Name', $wanted.name)
            $changes.Add(@{ name = $wanted.name; property = 'port'; before = $null; after = 'present' })
        }
        foreach ($option in $properties.Keys) {
            $after = if ($option -eq 'protocol') { $protocols[$wanted.protocol] } else { $wanted[$option] }
            $before = $port.GetPropertyValue($properties[$option])
            if ($null -ne $after -and [string]$before -ne [string]$after) {
                $values[$properties[$option]] = $after
                if ($there) {
                    if ($option -eq 'protocol') { $before = @($protocols.Keys | Where-Object { $protocols[$_] -eq $before })[0] }
                    $changes.Add(@{ name = $wanted.name; property = $option; before = $before; after = $wanted[$option] })
                }
            }
        }
        if ($values.Count -gt 0) { Write-Port -Port $port -Values $values -WhatIf:$module.CheckMode }
    }
    catch {
        $module.FailJson("printer port '$($wanted.name)': $($_.Exception.Message)", $_)
    }
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.after }) -join "`n"
$module.ExitJson()
