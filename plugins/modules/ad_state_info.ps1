#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        organizational_units = @{ type = 'list'; elements = 'str'; default = @() }
        groups = @{ type = 'list'; elements = 'str'; default = @() }
        users = @{ type = 'list'; elements = 'str'; default = @() }
        service_accounts = @{ type = 'list'; elements = 'str'; default = @() }
        principals = @{ type = 'list'; elements = 'str'; default = @() }
        link_targets = @{ type = 'list'; elements = 'str'; default = @() }
        laps_targets = @{ type = 'list'; elements = 'str'; default = @() }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# Before the promotion there is no directory to ask: that is an answer, not an error.
if ((Get-CimInstance -ClassName Win32_ComputerSystem).DomainRole -lt 4) {
    $module.Result.state = @{ available = $false }
    $module.ExitJson()
}

try {
    Import-Module -Name ActiveDirectory
    # This very controller is asked, so that what was just written is read back whatever replication does.
    $rootDse = Get-ADRootDSE -Server localhost
    $server = @{ Server = [string]$rootDse.dnsHostName }
    $domain = Get-ADDomain -Identity $rootDse.defaultNamingContext @server
}
catch {
    $module.FailJson("The directory of this domain controller does not answer; see that the services NTDS and ADWS run: $_", $_)
}
$selfSid = 'S-1-5-10'

Function Test-Set {
    <#
    .SYNOPSIS
    A boolean of the directory; false where it holds none.
    #>
    param ([AllowNull()]$Value)
    $null -ne $Value -and [bool]$Value
}

Function Get-Text {
    <#
    .SYNOPSIS
    A text of the directory; empty where it holds none.
    #>
    param ([AllowNull()]$Value)
    if ($null -eq $Value) { return '' }
    return [string]$Value
}

Function Get-Whole {
    <#
    .SYNOPSIS
    Whole days or minutes of a duration; 0 for the directory's "never", which is longer than any other.
    #>
    param (
        [Parameter(Mandatory = $true)][TimeSpan]$Span,
        [Parameter(Mandatory = $true)][ValidateSet('TotalDays', 'TotalMinutes')][string]$Unit
    )
    if ($Span.TotalDays -gt 10000) { return 0 }
    return [int][Math]::Floor($Span.$Unit)
}

Function Get-EncryptionName {
    <#
    .SYNOPSIS
    Names of the bits of msDS-SupportedEncryptionTypes (MS-KILE 2.2.7).
    #>
    param ([AllowNull()]$Bits)
    if ($null -eq $Bits) { return }
    if ($Bits -band 3) { 'des' }
    if ($Bits -band 4) { 'rc4' }
    if ($Bits -band 8) { 'aes128' }
    if ($Bits -band 16) { 'aes256' }
}

Function ConvertTo-Identity {
    <#
    .SYNOPSIS
    Spells rid:512 as a SID of the domain, and leaves every other name as it is.
    #>
    param ([Parameter(Mandatory = $true)][string]$Name)
    if ($Name -match '^rid:(\d+)$') { '{0}-{1}' -f $domain.DomainSID.Value, $Matches[1] } else { $Name }
}

Function Protect-LdapValue {
    <#
    .SYNOPSIS
    Escapes a value for an LDAP filter (RFC 4515).
    #>
    param ([Parameter(Mandatory = $true)][string]$Value)
    $Value.Replace('\', '\5c').Replace('*', '\2a').Replace('(', '\28').Replace(')', '\29')
}

Function Get-Found {
    <#
    .SYNOPSIS
    Runs a search by identity; an object that does not exist gives nothing.
    #>
    param ([Parameter(Mandatory = $true)][scriptblock]$Search)
    try { & $Search } catch [Microsoft.ActiveDirectory.Management.ADIdentityNotFoundException] { return }
}

Function Get-PolicyState {
    param ([Parameter(Mandatory = $true)]$Policy)
    @{
        minimum_length = [int]$Policy.MinPasswordLength
        complexity = [bool]$Policy.ComplexityEnabled
        history = [int]$Policy.PasswordHistoryCount
        maximum_age_days = Get-Whole -Span $Policy.MaxPasswordAge -Unit TotalDays
        minimum_age_days = Get-Whole -Span $Policy.MinPasswordAge -Unit TotalDays
        lockout_threshold = [int]$Policy.LockoutThreshold
        lockout_minutes = Get-Whole -Span $Policy.LockoutDuration -Unit TotalMinutes
        lockout_window_minutes = Get-Whole -Span $Policy.LockoutObservationWindow -Unit TotalMinutes
        reversible_encryption = [bool]$Policy.ReversibleEncryptionEnabled
    }
}

Function Get-FineGrainedState {
    foreach ($policy in @(Get-ADFineGrainedPasswordPolicy -Filter * -Properties ProtectedFromAccidentalDeletion @server)) {
        $state = Get-PolicyState -Policy $policy
        $state.name = $policy.Name
        $state.precedence = [int]$policy.Precedence
        $state.subjects = @($policy.AppliesTo | ForEach-Object -Process { [string]$_ })
        $state.protect_from_deletion = [bool]$policy.ProtectedFromAccidentalDeletion
        $state
    }
}

Function Get-UnitState {
    param ([Parameter(Mandatory = $true)][string]$Name)
    $properties = 'Description', 'ProtectedFromAccidentalDeletion'
    $unit = Get-Found -Search { Get-ADOrganizationalUnit -Identity $Name -Properties $properties @server }
    if ($null -eq $unit) { return }
    @{
        distinguished_name = $unit.DistinguishedName
        description = Get-Text -Value $unit.Description
        protect_from_deletion = [bool]$unit.ProtectedFromAccidentalDeletion
    }
}

Function Get-GroupState {
    param ([Parameter(Mandatory = $true)][string]$Name)
    $identity = ConvertTo-Identity -Name $Name
    $properties = 'Description', 'Members'
    $group = Get-Found -Search { Get-ADGroup -Identity $identity -Properties $properties @server }
    if ($null -eq $group) { return }
    @{
        asked = $Name
        name = $group.SamAccountName
        distinguished_name = $group.DistinguishedName
        scope = $group.GroupScope.ToString().ToLowerInvariant()
        category = $group.GroupCategory.ToString().ToLowerInvariant()
        description = Get-Text -Value $group.Description
        members = @($group.Members | ForEach-Object -Process { [string]$_ })
    }
}

Function Get-UserState {
    param ([Parameter(Mandatory = $true)][string]$Name)
    $properties = 'CannotChangePassword', 'Description', 'DisplayName', 'EmailAddress', 'PasswordNeverExpires', 'msDS-SupportedEncryptionTypes'
    $user = Get-Found -Search { Get-ADUser -Identity $Name -Properties $properties @server }
    if ($null -eq $user) { return }
    @{
        name = $user.SamAccountName
        distinguished_name = $user.DistinguishedName
        upn = Get-Text -Value $user.UserPrincipalName
        firstname = Get-Text -Value $user.GivenName
        surname = Get-Text -Value $user.Surname
        display_name = Get-Text -Value $user.DisplayName
        email = Get-Text -Value $user.EmailAddress
        description = Get-Text -Value $user.Description
        enabled = Test-Set -Value $user.Enabled
        password_never_expires = Test-Set -Value $user.PasswordNeverExpires
        user_cannot_change_password = Test-Set -Value $user.CannotChangePassword
        kerberos_encryption_types = @(Get-EncryptionName -Bits $user.'msDS-SupportedEncryptionTypes')
    }
}

Function Get-ServiceAccountState {
    param ([Parameter(Mandatory = $true)][string]$Name)
    $properties = 'Description', 'DNSHostName', 'PrincipalsAllowedToRetrieveManagedPassword', 'servicePrincipalName', 'msDS-SupportedEncryptionTypes'
    $filter = '(&(objectClass=msDS-GroupManagedServiceAccount)(cn={0}))' -f (Protect-LdapValue -Value $Name)
    foreach ($account in @(Get-ADServiceAccount -LDAPFilter $filter -Properties $properties @server)) {
        @{
            name = $account.Name
            distinguished_name = $account.DistinguishedName
            dns_hostname = Get-Text -Value $account.DNSHostName
            description = Get-Text -Value $account.Description
            allowed_to_retrieve_password = @(
                $account.PrincipalsAllowedToRetrieveManagedPassword | ForEach-Object -Process { [string]$_ }
            )
            spns = @($account.servicePrincipalName | ForEach-Object -Process { [string]$_ })
            kerberos_encryption_types = @(Get-EncryptionName -Bits $account.'msDS-SupportedEncryptionTypes')
        }
    }
}

Function Get-PrincipalState {
    param ([Parameter(Mandatory = $true)][string]$Name)
    $identity = ConvertTo-Identity -Name $Name
    $value = Protect-LdapValue -Value $identity
    $filter = if ($identity -like 'S-1-*') { "(objectSid=$value)" } else { "(|(sAMAccountName=$value)(sAMAccountName=$value`$))" }
    foreach ($found in @(Get-ADObject -LDAPFilter $filter -Properties objectSid @server | Select-Object -First 1)) {
        @{ asked = $Name; distinguished_name = $found.DistinguishedName; sid = $found.objectSid.Value }
    }
}

Function Get-LinkState {
    param ([Parameter(Mandatory = $true)][string]$Target)
    # A container that this run is going to create has no links yet.
    $container = Get-Found -Search { Get-ADObject -Identity $Target @server }
    if ($null -eq $container) { return }
    foreach ($link in @((Get-GPInheritance -Target $Target -Server $server.Server).GpoLinks)) {
        @{ target = $Target; gpo = $link.DisplayName; enabled = [bool]$link.Enabled; enforced = [bool]$link.Enforced }
    }
}

Function Test-LapsPermission {
    <#
    .SYNOPSIS
    Whether computers below a container may write their own LAPS password.
    #>
    param (
        [Parameter(Mandatory = $true)][string]$Target,
        [Parameter(Mandatory = $true)][Guid]$Attribute
    )
    $container = Get-Found -Search { Get-ADObject -Identity $Target -Properties nTSecurityDescriptor @server }
    if ($null -eq $container) { return $false }
    $rules = $container.nTSecurityDescriptor.GetAccessRules($true, $true, [System.Security.Principal.SecurityIdentifier])
    $write = [System.DirectoryServices.ActiveDirectoryRights]::WriteProperty
    $own = @($rules | Where-Object {
            $_.IdentityReference.Value -eq $selfSid -and $_.ObjectType -eq $Attribute -and ($_.ActiveDirectoryRights -band $write)
        })
    return $own.Count -gt 0
}

Function Get-LapsState {
    $schema = @(Get-ADObject -SearchBase $rootDse.schemaNamingContext -LDAPFilter '(lDAPDisplayName=msLAPS-Password)' `
            -Properties schemaIDGUID @server)
    $state = @{ schema = $schema.Count -gt 0; targets = @() }
    if ($state.schema) {
        $attribute = [Guid][byte[]]$schema[0].schemaIDGUID
        $state.targets = @($module.Params.laps_targets | Where-Object { Test-LapsPermission -Target $_ -Attribute $attribute })
    }
    return $state
}

$invariant = [System.Globalization.CultureInfo]::InvariantCulture
# The recycle bin's own identifier: its name is the same everywhere, but this cannot change.
$recycleBin = Get-ADOptionalFeature -Identity '766ddcd8-acd0-445e-f3b9-a7f9b6744f2a' @server

$module.Result.state = @{
    available = $true
    domain = @{
        dns_name = $domain.DNSRoot
        netbios_name = $domain.NetBIOSName
        distinguished_name = $domain.DistinguishedName
        sid = $domain.DomainSID.Value
        mode = $domain.DomainMode.ToString()
        pdc_emulator = $domain.PDCEmulator
    }
    password_policy = Get-PolicyState -Policy (Get-ADDefaultDomainPasswordPolicy -Identity $domain.DistinguishedName @server)
    fine_grained_policies = @(Get-FineGrainedState)
    recycle_bin = @($recycleBin.EnabledScopes).Count -gt 0
    kds_root_keys = @(
        foreach ($key in @(Get-KdsRootKey)) {
            @{
                id = $key.KeyId.ToString()
                effective_time = $key.EffectiveTime.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
            }
        }
    )
    sites = @(Get-ADReplicationSite -Filter * @server | ForEach-Object -Process { $_.Name })
    subnets = @(
        foreach ($subnet in @(Get-ADReplicationSubnet -Filter * @server)) {
            @{ name = $subnet.Name; site = (Get-Text -Value $subnet.Site) -replace '^CN=([^,]+),.*$', '$1' }
        }
    )
    organizational_units = @(foreach ($name in $module.Params.organizational_units) { Get-UnitState -Name $name })
    groups = @(foreach ($name in $module.Params.groups) { Get-GroupState -Name $name })
    users = @(foreach ($name in $module.Params.users) { Get-UserState -Name $name })
    service_accounts = @(foreach ($name in $module.Params.service_accounts) { Get-ServiceAccountState -Name $name })
    principals = @(foreach ($name in $module.Params.principals) { Get-PrincipalState -Name $name })
    gpo_links = @(foreach ($target in $module.Params.link_targets) { Get-LinkState -Target $target })
    laps = Get-LapsState
}
$module.ExitJson()
