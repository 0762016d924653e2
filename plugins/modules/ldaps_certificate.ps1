#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        thumbprint = @{ type = 'str'; required = $true }
        timeout_seconds = @{ type = 'int'; default = 60 }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$thumbprint = $module.Params.thumbprint.ToUpperInvariant()
# What the certificate snap-in shows as the store My of the computer, and of the service NTDS.
$machineStore = 'HKLM:\SOFTWARE\Microsoft\SystemCertificates\MY\Certificates'
$serviceStore = 'HKLM:\SOFTWARE\Microsoft\Cryptography\Services\NTDS\SystemCertificates\My\Certificates'

Function Get-ServedThumbprint {
    <#
    .SYNOPSIS
    Thumbprint of the certificate that port 636 serves; empty when it serves none.
    #>
    $client = [System.Net.Sockets.TcpClient]::new()
    try {
        $client.Connect('localhost', 636)
        # Which certificate it is counts here, not whether this session trusts it.
        $anyone = { $true } -as [System.Net.Security.RemoteCertificateValidationCallback]
        $stream = [System.Net.Security.SslStream]::new($client.GetStream(), $false, $anyone)
        $stream.AuthenticateAsClient('localhost')
        return $stream.RemoteCertificate.GetCertHashString().ToUpperInvariant()
    }
    catch [System.Management.Automation.MethodInvocationException] {
        return ''
    }
    finally {
        $client.Dispose()
    }
}

Function Get-StoredThumbprint {
    if (Test-Path -LiteralPath $serviceStore) {
        Get-ChildItem -LiteralPath $serviceStore | ForEach-Object -Process { $_.PSChildName.ToUpperInvariant() }
    }
}

$served = Get-ServedThumbprint
$stored = @(Get-StoredThumbprint)
$module.Diff.before = @{ served = $served; stored = $stored }
$module.Diff.after = @{ served = $thumbprint; stored = @($thumbprint) }
$module.Result.served = $thumbprint
$module.Result.changed = $served -ne $thumbprint -or $stored.Count -ne 1 -or $stored[0] -ne $thumbprint
if (-not $module.Result.changed -or $module.CheckMode) { $module.ExitJson() }

if (-not (Test-Path -LiteralPath "$machineStore\$thumbprint")) {
    $module.FailJson("The certificate $thumbprint is not in the machine's store My; import it with its private key first")
}
try {
    if (-not (Test-Path -LiteralPath $serviceStore)) { $null = New-Item -Path $serviceStore -Force }
    if ($stored -notcontains $thumbprint) { Copy-Item -LiteralPath "$machineStore\$thumbprint" -Destination $serviceStore -Recurse }
    foreach ($other in @($stored | Where-Object { $_ -ne $thumbprint })) { Remove-Item -LiteralPath "$serviceStore\$other" -Recurse }
    # MS-ADTS 3.1.1.3.3.22: the controller looks for its certificates again, without a restart.
    $root = New-Object -TypeName System.DirectoryServices.DirectoryEntry -ArgumentList 'LDAP://localhost/RootDSE'
    $root.Put('renewServerCertificate', 1)
    $root.SetInfo()
}
catch {
    $module.FailJson("The directory was not brought to use the certificate ${thumbprint}: $_", $_)
}

$limit = (Get-Date).AddSeconds($module.Params.timeout_seconds)
while ((Get-ServedThumbprint) -ne $thumbprint) {
    if ((Get-Date) -gt $limit) {
        $now = Get-ServedThumbprint
        $shown = $(if ($now) { "the certificate $now" } else { 'no certificate' })
        $module.FailJson("Port 636 serves $shown and not $thumbprint after $($module.Params.timeout_seconds) seconds; see that it names this " +
            'controller, that it is for server authentication, that its private key came along and that its authorities are trusted here')
    }
    Start-Sleep -Seconds 2
}
$module.ExitJson()
