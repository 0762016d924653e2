#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        basic = @{ type = 'bool' }
        kerberos = @{ type = 'bool' }
        negotiate = @{ type = 'bool' }
        certificate = @{ type = 'bool' }
        credssp = @{ type = 'bool' }
        channel_binding = @{ type = 'str'; choices = 'none', 'relaxed', 'strict' }
        allow_unencrypted = @{ type = 'bool' }
        max_envelope_kib = @{ type = 'int' }
        https_port = @{ type = 'int'; default = 5986 }
        https_trial = @{ type = 'bool'; default = $false }
        certificate_thumbprint = @{ type = 'str' }
        certificate_issuer = @{ type = 'str' }
    }
    mutually_exclusive = @(, @('certificate_thumbprint', 'certificate_issuer'))
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$changes = [System.Collections.Generic.List[object]]@()
$listenerUri = 'winrm/config/listener'

function Add-Change {
    param ([string]$Name, [object]$Before, [object]$After)
    $changes.Add(@{ name = $Name; before = $Before; after = $After })
}

function Test-ServerCertificate {
    # Whether a certificate can serve TLS now: private key, dates, server authentication.
    param ([System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)
    $now = Get-Date
    $usages = @($Certificate.EnhancedKeyUsageList | ForEach-Object -Process { $_.ObjectId })
    $Certificate.HasPrivateKey -and $Certificate.NotBefore -le $now -and $Certificate.NotAfter -gt $now -and
    ($usages.Count -eq 0 -or $usages -contains '1.3.6.1.5.5.7.3.1')
}

function Get-WantedThumbprint {
    # The declared certificate, or the issuer's that lasts longest; null keeps the listener's own.
    param ([string]$Thumbprint, [string]$Issuer)
    if (-not $Thumbprint -and -not $Issuer) {
        return $null
    }
    $store = @(Get-ChildItem -LiteralPath Cert:\LocalMachine\My)
    if ($Thumbprint) {
        $found = @($store | Where-Object -FilterScript { $_.Thumbprint -eq $Thumbprint })
        $what = "certificate $Thumbprint"
    }
    else {
        $found = @($store | Where-Object -FilterScript { $_.Issuer -eq $Issuer })
        $what = "a certificate issued by '$Issuer'"
    }
    $usable = @($found | Where-Object -FilterScript { Test-ServerCertificate -Certificate $_ } | Sort-Object -Property NotAfter -Descending)
    if ($usable.Count -eq 0) {
        throw "the HTTPS listener needs $what in LocalMachine\My, in date, with its private key and for server authentication"
    }
    $usable[0].Thumbprint
}

function Get-HttpsListener {
    @(Get-WSManInstance -ResourceURI $listenerUri -Enumerate | Where-Object -FilterScript { $_.Transport -eq 'HTTPS' })
}

function Write-Listener {
    # One listener exists for an address and a transport: it is changed in place, so that no moment is without one.
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([bool]$Exists, [string]$Thumbprint, [int]$Port, [string]$Address = '*')
    if ($PSCmdlet.ShouldProcess("HTTPS listener on $Address", 'configure')) {
        $listener = @{
            ResourceURI = $listenerUri
            SelectorSet = @{ Address = $Address; Transport = 'HTTPS' }
            ValueSet = @{ CertificateThumbprint = $Thumbprint; Port = $Port; Enabled = 'true' }
        }
        if ($Exists) {
            $null = Set-WSManInstance @listener
        }
        else {
            $null = New-WSManInstance @listener
        }
    }
}

function Clear-Listener {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([string]$Address)
    if ($PSCmdlet.ShouldProcess("HTTPS listener on $Address", 'remove')) {
        Remove-WSManInstance -ResourceURI $listenerUri -SelectorSet @{ Address = $Address; Transport = 'HTTPS' }
    }
}

function Open-TrialListener {
    # An address and a transport have one listener: the new port is tried on each single address that the old one listens on.
    param ([object[]]$All, [object]$Own, [string]$Thumbprint, [int]$Port, [bool]$Check)
    $after = '{0}:{1}' -f $Thumbprint, $Port
    $local = @($Own.ListeningOn | Where-Object -FilterScript { $_ -ne '::1' -and $_ -notlike '127.*' -and $_ -notlike 'fe80:*' })
    if ($local.Count -eq 0) {
        throw 'the HTTPS listener listens on no address of the network: is the WinRM service running?'
    }
    foreach ($address in @($local | ForEach-Object -Process { "IP:$_" })) {
        $old = @($All | Where-Object -FilterScript { $_.Address -eq $address })
        $before = if ($old.Count -gt 0) { '{0}:{1}' -f $old[0].CertificateThumbprint, $old[0].Port } else { $null }
        if ($before -ne $after) {
            Write-Listener -Exists ($old.Count -gt 0) -Thumbprint $Thumbprint -Port $Port -Address $address -WhatIf:$Check
            Add-Change -Name "https_listener $address" -Before $before -After $after
        }
    }
}

function Update-Listener {
    # The new listener first, the old ones after it. On trial only: the old one stays, the new port is tried beside it.
    param ([string]$Thumbprint, [int]$Port, [bool]$Trial, [bool]$Check)
    $all = @(Get-HttpsListener)
    $own = @($all | Where-Object -FilterScript { $_.Address -eq '*' })
    $before = if ($own.Count -gt 0) { '{0}:{1}' -f $own[0].CertificateThumbprint, $own[0].Port } else { $null }
    if (-not $Thumbprint) {
        if ($own.Count -eq 0) {
            throw 'there is no HTTPS listener on every address and neither certificate_thumbprint nor certificate_issuer is given'
        }
        $Thumbprint = $own[0].CertificateThumbprint
    }
    $after = '{0}:{1}' -f $Thumbprint, $Port
    if ($Trial -and $own.Count -gt 0 -and [int]$own[0].Port -ne $Port) {
        Open-TrialListener -All $all -Own $own[0] -Thumbprint $Thumbprint -Port $Port -Check $Check
        return
    }
    if ($before -ne $after -or $own[0].Enabled -ne 'true') {
        Write-Listener -Exists ($own.Count -gt 0) -Thumbprint $Thumbprint -Port $Port -WhatIf:$Check
        Add-Change -Name 'https_listener' -Before $before -After $after
    }
    foreach ($other in @($all | Where-Object -FilterScript { $_.Address -ne '*' })) {
        Clear-Listener -Address $other.Address -WhatIf:$Check
        Add-Change -Name "https_listener $($other.Address)" -Before ('{0}:{1}' -f $other.CertificateThumbprint, $other.Port) -After $null
    }
}

function Update-Setting {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([string]$Name, [string]$Path, [object]$Wanted)
    if ($null -eq $Wanted) {
        return
    }
    # The provider keeps words: 'true', 'Strict', '500'.
    $item = Get-Item -LiteralPath "WSMan:\localhost\$Path"
    $text = if ($Wanted -is [bool]) { $Wanted.ToString().ToLowerInvariant() } else { [string]$Wanted }
    if ($Wanted -is [string]) {
        $text = $text.Substring(0, 1).ToUpperInvariant() + $text.Substring(1)
    }
    if ($item.Value -ne $text) {
        if ($item.SourceOfValue -eq 'GPO') {
            throw "$Name is set to '$($item.Value)' by a group policy: change it there"
        }
        if ($PSCmdlet.ShouldProcess($Path, "set to $text")) {
            Set-Item -LiteralPath "WSMan:\localhost\$Path" -Value $text -Force
        }
        $before = if ($Wanted -is [bool]) { $item.Value -eq 'true' } elseif ($Wanted -is [int]) { [int]$item.Value } else { $item.Value.ToLowerInvariant() }
        Add-Change -Name $Name -Before $before -After $Wanted
    }
}

# What opens a way comes before what closes one.
$settings = @(
    @{ name = 'kerberos'; path = 'Service\Auth\Kerberos' }
    @{ name = 'negotiate'; path = 'Service\Auth\Negotiate' }
    @{ name = 'certificate'; path = 'Service\Auth\Certificate' }
    @{ name = 'max_envelope_kib'; path = 'MaxEnvelopeSizekb' }
    @{ name = 'channel_binding'; path = 'Service\Auth\CbtHardeningLevel' }
    @{ name = 'allow_unencrypted'; path = 'Service\AllowUnencrypted' }
    @{ name = 'credssp'; path = 'Service\Auth\CredSSP' }
    @{ name = 'basic'; path = 'Service\Auth\Basic' }
)
try {
    $thumbprint = Get-WantedThumbprint -Thumbprint $module.Params.certificate_thumbprint -Issuer $module.Params.certificate_issuer
    $listener = @{
        Thumbprint = $thumbprint
        Port = $module.Params.https_port
        Trial = $module.Params.https_trial
        Check = $module.CheckMode
    }
    Update-Listener @listener
    foreach ($setting in $settings) {
        Update-Setting -Name $setting.name -Path $setting.path -Wanted $module.Params[$setting.name] -WhatIf:$module.CheckMode
    }
}
catch {
    $module.FailJson("WinRM service: $($_.Exception.Message)", $_)
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.name, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} = {1}' -f $_.name, $_.after }) -join "`n"
$module.ExitJson()
