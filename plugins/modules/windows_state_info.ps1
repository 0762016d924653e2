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
        certificates = @{ type = 'bool'; default = $false }
        trusted = @{ type = 'list'; elements = 'str'; default = @() }
        products = @{ type = 'list'; elements = 'str'; default = @() }
        product_names = @{ type = 'list'; elements = 'str'; default = @() }
        paths = @{ type = 'list'; elements = 'path'; default = @() }
        files = @{ type = 'list'; elements = 'path'; default = @() }
        services = @{ type = 'list'; elements = 'str'; default = @() }
        principals = @{ type = 'list'; elements = 'str'; default = @() }
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

Function Get-KeyFile {
    <#
    .SYNOPSIS
    The machine's file of a certificate's private key, of either kind of provider; empty for a key that is kept elsewhere.
    #>
    param ([Parameter(Mandatory = $true)][System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate)
    $key = [System.Security.Cryptography.X509Certificates.RSACertificateExtensions]::GetRSAPrivateKey($Certificate)
    if ($null -eq $key) {
        $key = [System.Security.Cryptography.X509Certificates.ECDsaCertificateExtensions]::GetECDsaPrivateKey($Certificate)
    }
    if ($null -eq $key) { return '' }
    $legacy = $key -is [System.Security.Cryptography.RSACryptoServiceProvider]
    $name = $(if ($legacy) { $key.CspKeyContainerInfo.UniqueKeyContainerName } else { $key.Key.UniqueName })
    foreach ($folder in 'Keys', 'RSA\MachineKeys') {
        $file = Join-Path -Path "$env:ProgramData\Microsoft\Crypto\$folder" -ChildPath $name
        if (Test-Path -LiteralPath $file) { return $file }
    }
    return ''
}

Function Get-FileReader {
    <#
    .SYNOPSIS
    SIDs that may read a file: FILE_READ_DATA, GENERIC_READ or GENERIC_ALL.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path)
    $rules = (Get-Acl -LiteralPath $Path).GetAccessRules($true, $true, [System.Security.Principal.SecurityIdentifier])
    $reading = @($rules | Where-Object { $_.AccessControlType -eq 'Allow' -and ([int]$_.FileSystemRights -band 0x90000001) -ne 0 })
    @($reading | ForEach-Object -Process { $_.IdentityReference.Value } | Sort-Object -Unique)
}

Function Get-CertificateState {
    <#
    .SYNOPSIS
    Certificates of the machine's stores that servers use, each with who may read its key.
    #>
    foreach ($store in 'My', 'WebHosting') {
        if (-not (Test-Path -LiteralPath "Cert:\LocalMachine\$store")) { continue }
        foreach ($certificate in @(Get-ChildItem -LiteralPath "Cert:\LocalMachine\$store")) {
            $file = $(if ($certificate.HasPrivateKey) { Get-KeyFile -Certificate $certificate } else { '' })
            @{
                store = $store
                thumbprint = $certificate.Thumbprint
                subject = $certificate.Subject
                not_after = $certificate.NotAfter.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
                has_private_key = $certificate.HasPrivateKey
                key_file = $file
                readers = @(if ($file) { Get-FileReader -Path $file })
            }
        }
    }
}

Function Get-ProductState {
    <#
    .SYNOPSIS
    Installed products, by the names of their uninstall keys or by their own names (with wildcards).
    #>
    param ([string[]]$Code, [string[]]$Name)
    $own = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall'
    $other = 'HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall'
    foreach ($key in @(Get-ChildItem -LiteralPath $own) + @(Get-ChildItem -LiteralPath $other -ErrorAction Ignore)) {
        $title = [string]$key.GetValue('DisplayName')
        if ($Code -contains $key.PSChildName -or @($Name | Where-Object { $title -like $_ }).Count -gt 0) {
            @{ code = $key.PSChildName; name = $title; version = [string]$key.GetValue('DisplayVersion') }
        }
    }
}

Function Get-PathState {
    <#
    .SYNOPSIS
    Whether a path is there, the version that a file carries, and its SHA-256 when that is asked for.
    #>
    param ([Parameter(Mandatory = $true)][string]$Path, [switch]$Hash)
    $file = Test-Path -LiteralPath $Path -PathType Leaf
    $version = ''
    if ($file) {
        $info = [System.Diagnostics.FileVersionInfo]::GetVersionInfo($Path)
        $version = '{0}.{1}.{2}.{3}' -f $info.FileMajorPart, $info.FileMinorPart, $info.FileBuildPart, $info.FilePrivatePart
    }
    @{
        path = $Path
        exists = Test-Path -LiteralPath $Path
        version = $version
        sha256 = $(if ($Hash -and $file) { (Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash.ToLowerInvariant() } else { '' })
    }
}

Function Get-PrincipalSid {
    <#
    .SYNOPSIS
    SID of an account or group; empty when nobody has that name.
    #>
    param ([Parameter(Mandatory = $true)][string]$Name)
    if ($Name -match '^S-1-[0-9-]+$') { return $Name }
    try {
        $account = New-Object -TypeName System.Security.Principal.NTAccount -ArgumentList $Name
        return $account.Translate([System.Security.Principal.SecurityIdentifier]).Value
    }
    catch [System.Security.Principal.IdentityNotMappedException] {
        return ''
    }
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
    certificates = @(if ($module.Params.certificates) { Get-CertificateState })
    trusted = @(
        foreach ($store in 'Root', 'CA') {
            foreach ($thumbprint in $module.Params.trusted) {
                if (Test-Path -LiteralPath "Cert:\LocalMachine\$store\$thumbprint") {
                    @{ store = $store; thumbprint = $thumbprint.ToUpperInvariant() }
                }
            }
        }
    )
    packages = @(Get-ProductState -Code $module.Params.products -Name $module.Params.product_names)
    paths = @(
        foreach ($path in $module.Params.paths) { Get-PathState -Path $path }
        foreach ($path in $module.Params.files) { Get-PathState -Path $path -Hash }
    )
    services = @($module.Params.services | Where-Object { $null -ne (Get-Service -Name $_ -ErrorAction Ignore) })
    principals = @($module.Params.principals | ForEach-Object -Process { @{ name = $_; sid = Get-PrincipalSid -Name $_ } })
}
$module.ExitJson()
