#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        devices = @{
            type = 'list'
            elements = 'dict'
            default = @()
            options = @{
                address = @{ type = 'str'; required = $true }
                port = @{ type = 'int'; required = $true }
            }
        }
        timeout = @{ type = 'int'; default = 3 }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

Function Get-DeviceState {
    <#
    .SYNOPSIS
    Whether each device takes a TCP connection: all are asked at once.
    #>
    $tries = foreach ($device in $module.Params.devices) {
        $client = New-Object -TypeName System.Net.Sockets.TcpClient
        @{ device = $device; client = $client; task = $client.ConnectAsync($device.address, $device.port) }
    }
    $end = [System.DateTime]::UtcNow.AddSeconds($module.Params.timeout)
    foreach ($try in $tries) {
        $left = [System.Math]::Max(0, ($end - [System.DateTime]::UtcNow).TotalMilliseconds)
        try { $open = $try.task.Wait([int]$left) } catch { $open = $false }
        $try.client.Close()
        @{ address = $try.device.address; port = $try.device.port; reachable = $open }
    }
}

Function Get-JobState {
    param ([string]$Queue)
    foreach ($job in @(Get-PrintJob -PrinterName $Queue | Where-Object { $_.SubmittedTime })) {
        $age = [System.DateTime]::UtcNow - $job.SubmittedTime.ToUniversalTime()
        @{ id = [int]$job.Id; age_minutes = [int]$age.TotalMinutes }
    }
}

$running = (Get-Service -Name Spooler).Status -eq 'Running'
$version = [System.Environment]::OSVersion.Version
$queues = @()
if ($running) {
    $queues = @(
        foreach ($printer in @(Get-Printer | Where-Object { $_.Type -eq 'Local' })) {
            @{ name = $printer.Name; status = [string]$printer.PrinterStatus; jobs = @(Get-JobState -Queue $printer.Name) }
        }
    )
}
$module.Result.state = @{
    version = '{0}.{1}.{2}' -f $version.Major, $version.Minor, $version.Build
    spooler = $running
    queues = $queues
    devices = @(Get-DeviceState)
}
$module.ExitJson()
