#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        domain = @{ type = 'str'; required = $true }
        dcdiag_skip = @{ type = 'list'; elements = 'str'; default = @() }
        services = @{ type = 'list'; elements = 'str'; default = @() }
        backup_task = @{ type = 'str'; default = '' }
        ldaps = @{ type = 'bool'; default = $false }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
Import-Module -Name ActiveDirectory

$invariant = [System.Globalization.CultureInfo]::InvariantCulture
$format = 'yyyy-MM-ddTHH:mm:ssZ'

Function Get-Stamp {
    param ([AllowNull()]$Moment)
    if ($null -eq $Moment) { '' } else { ([System.DateTime]$Moment).ToUniversalTime().ToString($format, $invariant) }
}

Function Get-DcdiagOutput {
    <#
    .SYNOPSIS
    What dcdiag /q prints: nothing when all is well, in every language.
    #>
    # What a program writes to its error stream is output here, not an end.
    $ErrorActionPreference = 'Continue'
    $arguments = @('/q') + @($module.Params.dcdiag_skip | ForEach-Object -Process { "/skip:$_" })
    @(& "$env:SystemRoot\System32\dcdiag.exe" $arguments 2>&1 | ForEach-Object -Process { [string]$_ } | Where-Object { $_.Trim() })
}

Function Get-FailureState {
    foreach ($failure in @(Get-ADReplicationFailure -Target localhost)) {
        if ($failure.FailureCount -gt 0) {
            @{
                server = [string]$failure.Server
                partner = [string]$failure.Partner
                count = [int]$failure.FailureCount
                error = [int]$failure.LastError
            }
        }
    }
}

Function Get-BackupState {
    <#
    .SYNOPSIS
    Last successful backup, and since when its task exists.
    #>
    $state = @{ last_success = ''; task_registered = '' }
    if (-not $module.Params.backup_task) { return $state }
    if (@(Get-Command -Name Get-WBSummary -ErrorAction Ignore).Count -gt 0) {
        $last = (Get-WBSummary).LastSuccessfulBackupTime
        # Windows Server Backup says "never" by a date of year 1.
        if ($null -ne $last -and $last.Year -gt 1) { $state.last_success = Get-Stamp -Moment $last }
    }
    $task = @(Get-ScheduledTask -TaskName $module.Params.backup_task -ErrorAction Ignore)
    if ($task.Count -gt 0) {
        $file = Join-Path -Path "$env:SystemRoot\System32\Tasks" -ChildPath ($task[0].TaskPath.Trim('\') + '\' + $task[0].TaskName)
        $state.task_registered = Get-Stamp -Moment (Get-Item -LiteralPath $file).CreationTime
    }
    return $state
}

Function Get-LdapsState {
    <#
    .SYNOPSIS
    The certificate that port 636 serves; empty texts when it serves none.
    #>
    $state = @{ thumbprint = ''; not_after = '' }
    if (-not $module.Params.ldaps) { return $state }
    $client = [System.Net.Sockets.TcpClient]::new()
    try {
        $client.Connect('localhost', 636)
        # Which certificate it is counts here, not whether this session trusts it.
        $anyone = { $true } -as [System.Net.Security.RemoteCertificateValidationCallback]
        $stream = [System.Net.Security.SslStream]::new($client.GetStream(), $false, $anyone)
        $stream.AuthenticateAsClient('localhost')
        $type = 'System.Security.Cryptography.X509Certificates.X509Certificate2'
        $served = New-Object -TypeName $type -ArgumentList $stream.RemoteCertificate
        $state.thumbprint = $served.Thumbprint
        $state.not_after = Get-Stamp -Moment $served.NotAfter
    }
    catch [System.Management.Automation.MethodInvocationException] {
        return $state
    }
    finally {
        $client.Dispose()
    }
    return $state
}

Function Get-SrvTarget {
    $name = '_ldap._tcp.{0}' -f $module.Params.domain
    foreach ($answer in @(Resolve-DnsName -Name $name -Type SRV -Server 127.0.0.1 -ErrorAction Ignore)) {
        if ($null -ne $answer.PSObject.Properties['NameTarget']) { [string]$answer.NameTarget }
    }
}

$computer = Get-CimInstance -ClassName Win32_ComputerSystem
$authorized = $false
if (@(Get-Command -Name Get-DhcpServerInDC -ErrorAction Ignore).Count -gt 0) {
    $fqdn = '{0}.{1}' -f $computer.Name, $computer.Domain
    $authorized = @(Get-DhcpServerInDC | Where-Object { $_.DnsName -eq $fqdn }).Count -gt 0
}

$module.Result.state = @{
    time = Get-Stamp -Moment ([System.DateTime]::UtcNow)
    primary = $computer.DomainRole -eq 5
    dcdiag = @(Get-DcdiagOutput)
    replication_failures = @(Get-FailureState)
    shares = @(Get-SmbShare | ForEach-Object -Process { $_.Name })
    time_source = ([string](& "$env:SystemRoot\System32\w32tm.exe" '/query' '/source')).Trim()
    srv_targets = @(Get-SrvTarget)
    stopped_services = @(
        foreach ($name in $module.Params.services) {
            $service = @(Get-Service -Name $name -ErrorAction Ignore)
            if ($service.Count -eq 0 -or $service[0].Status -ne 'Running') { $name }
        }
    )
    dhcp_authorized = $authorized
    backup = Get-BackupState
    ldaps = Get-LdapsState
}
$module.ExitJson()
