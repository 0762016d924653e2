#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        services = @{ type = 'list'; elements = 'str'; default = @() }
        firewall_names = @{ type = 'list'; elements = 'str'; default = @() }
        firewall_groups = @{ type = 'list'; elements = 'str'; default = @() }
        principals = @{ type = 'list'; elements = 'str'; default = @() }
        products = @{ type = 'list'; elements = 'str'; default = @() }
        features = @{ type = 'list'; elements = 'str'; default = @() }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

function Get-ServiceState {
    param ([string[]]$Name)
    $found = @(Get-CimInstance -ClassName Win32_Service)
    foreach ($wanted in $Name) {
        $service = @($found | Where-Object -FilterScript { $_.Name -eq $wanted })
        if ($service.Count -eq 0) {
            @{ name = $wanted; exists = $false; state = $null; start_mode = $null }
        }
        else {
            $mode = $service[0].StartMode.ToLowerInvariant()
            if ($mode -eq 'auto') {
                $mode = if ($service[0].DelayedAutoStart) { 'delayed' } else { 'auto' }
            }
            @{ name = $wanted; exists = $true; state = $service[0].State.ToLowerInvariant(); start_mode = $mode }
        }
    }
}

function Get-FirewallProfile {
    foreach ($entry in @(Get-NetFirewallProfile)) {
        @{
            name = $entry.Name.ToLowerInvariant()
            enabled = $entry.Enabled.ToString() -eq 'True'
            inbound_action = $entry.DefaultInboundAction.ToString().ToLowerInvariant()
            outbound_action = $entry.DefaultOutboundAction.ToString().ToLowerInvariant()
        }
    }
}

function Get-FirewallRule {
    # Numbers of INetFwRule, see https://learn.microsoft.com/windows/win32/api/netfw/nn-netfw-inetfwrule.
    param ([string[]]$Name, [string[]]$Group)
    $protocols = @{ 1 = 'icmpv4'; 6 = 'tcp'; 17 = 'udp'; 58 = 'icmpv6'; 256 = 'any' }
    $policy = New-Object -ComObject HNetCfg.FwPolicy2
    foreach ($rule in $policy.Rules) {
        if ($Name -notcontains $rule.Name -and $Group -notcontains [string]$rule.Grouping) {
            continue
        }
        $number = [int]$rule.Protocol
        $profiles = @(
            if ($rule.Profiles -band 1) { 'domain' }
            if ($rule.Profiles -band 2) { 'private' }
            if ($rule.Profiles -band 4) { 'public' }
        )
        @{
            name = $rule.Name
            group = [string]$rule.Grouping
            enabled = [bool]$rule.Enabled
            direction = @{ 1 = 'in'; 2 = 'out' }[[int]$rule.Direction]
            action = @{ 0 = 'block'; 1 = 'allow' }[[int]$rule.Action]
            protocol = if ($protocols.ContainsKey($number)) { $protocols[$number] } else { [string]$number }
            local_ports = [string]$rule.LocalPorts
            remote_addresses = [string]$rule.RemoteAddresses
            profiles = $profiles
        }
    }
}

function Get-UserRight {
    # secedit writes SIDs with a star before them, and a few names it cannot resolve as they are.
    $file = Join-Path -Path ([System.IO.Path]::GetTempPath()) -ChildPath ([System.IO.Path]::GetRandomFileName())
    try {
        $null = & "$env:SystemRoot\System32\secedit.exe" /export /areas USER_RIGHTS /cfg $file /quiet
        if ($LASTEXITCODE -ne 0) {
            throw "secedit /export ended with $LASTEXITCODE"
        }
        $rights = @{}
        foreach ($line in (Get-Content -LiteralPath $file)) {
            if ($line -match '^(?<right>Se\w+)\s*=\s*(?<holders>.*)$') {
                $right = $Matches['right']
                $rights[$right] = @($Matches['holders'] -split ',' | ForEach-Object -Process { $_.Trim().TrimStart('*') } | Where-Object -FilterScript { $_ })
            }
        }
        $rights
    }
    finally {
        Remove-Item -LiteralPath $file -Force -ErrorAction SilentlyContinue
    }
}

function Resolve-Principal {
    # SID of each name; null for a name that nobody has.
    param ([string[]]$Name)
    $sids = @{}
    foreach ($principal in $Name) {
        try {
            $account = New-Object -TypeName System.Security.Principal.NTAccount -ArgumentList $principal
            $sids[$principal] = $account.Translate([System.Security.Principal.SecurityIdentifier]).Value
        }
        catch [System.Security.Principal.IdentityNotMappedException] {
            $sids[$principal] = $null
        }
    }
    $sids
}

function Get-InstalledProduct {
    param ([string[]]$Code)
    $roots = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall',
    'HKLM:\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall'
    foreach ($product in $Code) {
        if (@($roots | Where-Object -FilterScript { Test-Path -LiteralPath "$_\$product" }).Count -gt 0) {
            $product
        }
    }
}

function Get-FeatureState {
    # All are asked for and the names looked up here: Get-WindowsFeature fails on a name that this version does not have.
    param ([string[]]$Name)
    $states = @{}
    if ($Name.Count -gt 0) {
        $found = @(Get-WindowsFeature)
        foreach ($wanted in $Name) {
            $feature = @($found | Where-Object -FilterScript { $_.Name -eq $wanted })
            $states[$wanted] = if ($feature.Count -gt 0) { $feature[0].InstallState.ToString() } else { $null }
        }
    }
    $states
}

function Get-LocalAccount {
    foreach ($user in @(Get-CimInstance -ClassName Win32_UserAccount -Filter 'LocalAccount = True')) {
        @{
            name = $user.Name
            sid = $user.SID
            enabled = -not $user.Disabled
            full_name = [string]$user.FullName
            description = [string]$user.Description
            password_never_expires = -not $user.PasswordExpires
        }
    }
}

function Get-LocalGroupMembership {
    # ADSI rather than Get-LocalGroupMember, which fails on a member whose domain account is gone.
    foreach ($group in @(Get-LocalGroup)) {
        $adsi = [adsi]"WinNT://./$($group.Name),group"
        $members = foreach ($member in @($adsi.Invoke('Members'))) {
            $bytes = $member.GetType().InvokeMember('objectSid', 'GetProperty', $null, $member, $null)
            (New-Object -TypeName System.Security.Principal.SecurityIdentifier -ArgumentList @([byte[]]$bytes, 0)).Value
        }
        @{ name = $group.Name; sid = $group.SID.Value; members = @($members | Where-Object -FilterScript { $_ }) }
    }
}

function Get-WinRMState {
    $listeners = foreach ($listener in @(Get-WSManInstance -ResourceURI winrm/config/listener -Enumerate)) {
        @{
            transport = $listener.Transport.ToLowerInvariant()
            address = $listener.Address
            port = [int]$listener.Port
            enabled = $listener.Enabled -eq 'true'
            certificate_thumbprint = [string]$listener.CertificateThumbprint
        }
    }
    $auth = @{}
    foreach ($name in 'Basic', 'Kerberos', 'Negotiate', 'Certificate', 'CredSSP') {
        $auth[$name.ToLowerInvariant()] = (Get-Item -LiteralPath "WSMan:\localhost\Service\Auth\$name").Value -eq 'true'
    }
    @{
        listeners = @($listeners)
        auth = $auth
        channel_binding = (Get-Item -LiteralPath WSMan:\localhost\Service\Auth\CbtHardeningLevel).Value.ToLowerInvariant()
        allow_unencrypted = (Get-Item -LiteralPath WSMan:\localhost\Service\AllowUnencrypted).Value -eq 'true'
    }
}

function Get-WinRMClient {
    # Who is connected to the HTTPS listeners now, this module's caller among them.
    param ([object[]]$Listener)
    $ports = @($Listener | Where-Object -FilterScript { $_.transport -eq 'https' } | ForEach-Object -Process { $_.port })
    @(Get-NetTCPConnection -State Established | Where-Object -FilterScript { $ports -contains $_.LocalPort }) |
        ForEach-Object -Process { $_.RemoteAddress } | Sort-Object -Unique
}

function Get-TlsProtocol {
    # What SChannel was told; null where Windows decides.
    $root = 'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols'
    foreach ($version in 'SSL 2.0', 'SSL 3.0', 'TLS 1.0', 'TLS 1.1', 'TLS 1.2', 'TLS 1.3') {
        $enabled = $null
        if (Test-Path -LiteralPath "$root\$version\Server") {
            $values = (Get-Item -LiteralPath "$root\$version\Server").GetValue('Enabled', $null)
            $enabled = if ($null -eq $values) { $null } else { $values -ne 0 }
        }
        @{ protocol = $version; server_enabled = $enabled }
    }
}

function Get-TimeSource {
    # A stopped time service makes w32tm end with an error, whose first line is the answer then.
    $ErrorActionPreference = 'Continue'
    $said = @(& "$env:SystemRoot\System32\w32tm.exe" /query /source 2>&1)
    if ($said.Count -gt 0) { ([string]$said[0]).Trim() } else { '' }
}

function Get-TimeZoneName {
    # As tzutil sets it: with _dstoff where daylight saving is off, which Get-TimeZone does not tell.
    $name = @(& "$env:SystemRoot\System32\tzutil.exe" /g)
    if ($LASTEXITCODE -ne 0) {
        throw "tzutil /g ended with $LASTEXITCODE"
    }
    ([string]$name[0]).Trim()
}

function Get-PowerPlan {
    # The sentence around the GUID is in the language of Windows.
    $said = @(& "$env:SystemRoot\System32\powercfg.exe" /getactivescheme) -join ' '
    if ($said -match '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}') { $Matches[0].ToLowerInvariant() } else { $null }
}

function Get-Antivirus {
    $state = @{ defender = $false; running = $null; real_time = $null; signature_age_days = $null }
    if ($null -ne (Get-Command -Name Get-MpComputerStatus -ErrorAction SilentlyContinue)) {
        try {
            $status = Get-MpComputerStatus
            $state.defender = $true
            $state.running = [bool]$status.AMServiceEnabled
            $state.real_time = [bool]$status.RealTimeProtectionEnabled
            $state.signature_age_days = [int]$status.AntivirusSignatureAge
        }
        catch {
            # The cmdlet outlives a removed or stopped Defender and then fails: that is "not running".
            $state.running = $false
        }
    }
    $state
}

function Get-AwaitedMark {
    # Notes that win_registry_values leaves in a key that the next boot drops.
    $key = 'HKLM:\SOFTWARE\cnosf.infogerance.awaited'
    if (Test-Path -LiteralPath $key) {
        (Get-Item -LiteralPath $key).GetValueNames()
    }
}

function Get-PendingReboot {
    $reasons = @()
    $component = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending'
    if (Test-Path -LiteralPath $component) { $reasons += 'component servicing' }
    $update = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired'
    if (Test-Path -LiteralPath $update) { $reasons += 'Windows Update' }
    $names = 'HKLM:\SYSTEM\CurrentControlSet\Control\ComputerName'
    $active = (Get-ItemProperty -LiteralPath "$names\ActiveComputerName").ComputerName
    $wanted = (Get-ItemProperty -LiteralPath "$names\ComputerName").ComputerName
    if ($active -ne $wanted) { $reasons += 'computer name' }
    if ((Get-AwaitedMark) -contains 'reboot') { $reasons += 'registry values' }
    $reasons
}

$system = Get-CimInstance -ClassName Win32_ComputerSystem
# 4 and 5 are domain controllers: they have no local accounts.
$controller = $system.DomainRole -ge 4
try {
    $module.Result.services = @(Get-ServiceState -Name $module.Params.services)
    $module.Result.firewall_profiles = @(Get-FirewallProfile)
    $module.Result.firewall_rules = @(Get-FirewallRule -Name $module.Params.firewall_names -Group $module.Params.firewall_groups)
    $module.Result.user_rights = Get-UserRight
    $module.Result.sids = Resolve-Principal -Name $module.Params.principals
    $module.Result.products = @(Get-InstalledProduct -Code $module.Params.products)
    $module.Result.features = Get-FeatureState -Name $module.Params.features
    $module.Result.users = @(if (-not $controller) { Get-LocalAccount })
    $module.Result.groups = @(if (-not $controller) { Get-LocalGroupMembership })
    $module.Result.winrm = Get-WinRMState
    $module.Result.winrm_clients = @(Get-WinRMClient -Listener $module.Result.winrm.listeners)
    $module.Result.tls_protocols = @(Get-TlsProtocol)
    $module.Result.antivirus = Get-Antivirus
    $module.Result.time_source = Get-TimeSource
    $module.Result.pending_reboot = @(Get-PendingReboot)
    $marks = @(Get-AwaitedMark | Where-Object -FilterScript { $_ -like 'restart:*' })
    $module.Result.awaited_restarts = @($marks | ForEach-Object -Process { $_.Substring('restart:'.Length) })
    $module.Result.timezone = Get-TimeZoneName
    $module.Result.power_plan = Get-PowerPlan
    $module.Result.hostname = [string]$system.DNSHostname
    $module.Result.domain = if ($system.PartOfDomain) { [string]$system.Domain } else { $null }
    $module.Result.domain_controller = $controller
}
catch {
    $module.FailJson("the state of the server cannot be read: $($_.Exception.Message)", $_)
}
$module.ExitJson()
