#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        queues = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                name = @{ type = 'str'; required = $true }
                driver = @{ type = 'str' }
                port = @{ type = 'str' }
                ipp_url = @{ type = 'str' }
                shared = @{ type = 'bool' }
                share = @{ type = 'str' }
                published = @{ type = 'bool' }
                location = @{ type = 'str' }
                comment = @{ type = 'str' }
                sddl = @{ type = 'str' }
                duplex = @{ type = 'str'; choices = 'OneSided', 'TwoSidedLongEdge', 'TwoSidedShortEdge' }
                paper = @{ type = 'str' }
                color = @{ type = 'bool' }
            }
        }
        purge = @{ type = 'bool'; default = $false }
        keep = @{ type = 'list'; elements = 'str'; default = @() }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# Options by the names that Get- and Set-Printer, Get- and Set-PrintConfiguration give them.
$properties = [ordered]@{
    driver = 'DriverName'
    port = 'PortName'
    shared = 'Shared'
    share = 'ShareName'
    published = 'Published'
    location = 'Location'
    comment = 'Comment'
    sddl = 'PermissionSDDL'
}
$defaults = [ordered]@{ duplex = 'DuplexingMode'; paper = 'PaperSize'; color = 'Color' }
$store = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Print\Printers'

Function ConvertTo-Comparable {
    <#
    .SYNOPSIS
    What two spellings of one value share: of a security descriptor its entries in no particular order.
    #>
    param ([string]$Property, [AllowNull()]$Value)
    if ($Property -ne 'PermissionSDDL' -or -not $Value) { return [string]$Value }
    $descriptor = New-Object -TypeName System.Security.AccessControl.RawSecurityDescriptor -ArgumentList $Value
    $entries = foreach ($ace in $descriptor.DiscretionaryAcl) {
        '{0} {1} {2} {3}' -f $ace.AceType, [int]$ace.AceFlags, $ace.AccessMask, $ace.SecurityIdentifier
    }
    @($entries | Sort-Object -Unique) -join "`n"
}

Function Get-Difference {
    <#
    .SYNOPSIS
    Declared options of which the object holds another value.
    #>
    param ($Current, [System.Collections.IDictionary]$Wanted, [System.Collections.IDictionary]$Table)
    foreach ($option in $Table.Keys) {
        $property = $Table[$option]
        $before = ConvertTo-Comparable -Property $property -Value $Current.$property
        if ($null -ne $Wanted[$option] -and $before -cne (ConvertTo-Comparable -Property $property -Value $Wanted[$option])) {
            @{ option = $option; property = $property; before = [string]$Current.$property; after = $Wanted[$option] }
        }
    }
}

Function Get-IppPort {
    <#
    .SYNOPSIS
    Name of the port through which Windows reaches an IPP device; null when there is none.
    #>
    param ([string]$Url)
    foreach ($port in @(Get-PrinterPort)) {
        if ($null -ne $port.PSObject.Properties['IppUrl'] -and $port.IppUrl -eq $Url) { return $port.Name }
    }
}

Function Add-Queue {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([System.Collections.IDictionary]$Wanted)
    if (-not $PSCmdlet.ShouldProcess($Wanted.name, 'add')) { return }
    if (-not $Wanted.ipp_url) {
        Add-Printer -Name $Wanted.name -DriverName $Wanted.driver -PortName $Wanted.port
        return
    }
    $known = @(Get-Printer | ForEach-Object -Process { $_.Name })
    Add-Printer -Name $Wanted.name -IppURL $Wanted.ipp_url
    # Some builds of Windows name the queue as the device calls itself.
    foreach ($added in @(Get-Printer | Where-Object { $known -notcontains $_.Name -and $_.Name -ne $Wanted.name })) {
        Rename-Printer -Name $added.Name -NewName $Wanted.name
    }
}

Function Write-Queue {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([string]$Name, [object[]]$Properties, [object[]]$Defaults)
    if (-not $PSCmdlet.ShouldProcess($Name, 'write')) { return }
    $set = @{}
    foreach ($entry in $Properties) { $set[$entry.property] = $entry.after }
    if ($set.Count -gt 0) { Set-Printer -Name $Name @set }
    $set = @{}
    foreach ($entry in $Defaults) { $set[$entry.property] = $entry.after }
    if ($set.Count -gt 0) { Set-PrintConfiguration -PrinterName $Name @set }
}

Function Clear-Queue {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([string]$Name)
    if ($PSCmdlet.ShouldProcess($Name, 'remove')) { Remove-Printer -Name $Name }
}

$running = (Get-Service -Name Spooler).Status -eq 'Running'
if (-not $running -and -not $module.CheckMode) {
    $module.FailJson('The print spooler does not run: start the service Spooler first')
}
if ($running) {
    $names = @(Get-Printer | Where-Object { $_.Type -eq 'Local' } | ForEach-Object -Process { $_.Name })
}
else {
    $names = @(Get-ChildItem -LiteralPath $store -ErrorAction Ignore | ForEach-Object -Process { $_.PSChildName })
    $module.Warn('The print spooler does not run: drivers, ports and queues are compared by their names alone')
}

$changes = [System.Collections.Generic.List[object]]@()
foreach ($wanted in $module.Params.queues) {
    try {
        $there = $names -contains $wanted.name
        if ($there -and -not $running) { continue }
        if ($there -and $wanted.ipp_url) { $wanted.port = Get-IppPort -Url $wanted.ipp_url }
        $moved = $there -and $wanted.ipp_url -and -not $wanted.port
        if ($moved -or -not $there) {
            if ($moved) {
                $changes.Add(@{ name = $wanted.name; property = 'ipp_url'; before = $null; after = $wanted.ipp_url })
                Clear-Queue -Name $wanted.name -WhatIf:$module.CheckMode
            }
            else { $changes.Add(@{ name = $wanted.name; property = 'queue'; before = $null; after = 'present' }) }
            Add-Queue -Wanted $wanted -WhatIf:$module.CheckMode
            if ($module.CheckMode) { continue }
        }
        if ($wanted.ipp_url -and -not $wanted.port) {
            $wanted.port = Get-IppPort -Url $wanted.ipp_url
            if (-not $wanted.port) {
                throw "Windows added it and has no port of the address $($wanted.ipp_url): declare the IppUrl that Get-PrinterPort shows"
            }
        }
        $different = @(Get-Difference -Current (Get-Printer -Name $wanted.name -Full) -Wanted $wanted -Table $properties)
        $otherwise = @(Get-Difference -Current (Get-PrintConfiguration -PrinterName $wanted.name) -Wanted $wanted -Table $defaults)
        Write-Queue -Name $wanted.name -Properties $different -Defaults $otherwise -WhatIf:$module.CheckMode
        if ($there -and -not $moved) {
            foreach ($entry in $different + $otherwise) {
                $changes.Add(@{ name = $wanted.name; property = $entry.option; before = $entry.before; after = $entry.after })
            }
        }
    }
    catch {
        $module.FailJson("print queue '$($wanted.name)': $($_.Exception.Message)", $_)
    }
}

$declared = @($module.Params.queues | ForEach-Object -Process { $_.name })
$undeclared = @($names | Where-Object { $declared -notcontains $_ -and $module.Params.keep -notcontains $_ })
if ($module.Params.purge) {
    foreach ($name in $undeclared) {
        try { Clear-Queue -Name $name -WhatIf:$module.CheckMode }
        catch { $module.FailJson("print queue '$name': $($_.Exception.Message)", $_) }
        $changes.Add(@{ name = $name; property = 'queue'; before = 'present'; after = $null })
    }
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Result.undeclared = $undeclared
$module.Diff.before = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.before }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0} {1} = {2}' -f $_.name, $_.property, $_.after }) -join "`n"
$module.ExitJson()
