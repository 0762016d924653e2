#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        values = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                path = @{ type = 'str'; required = $true }
                name = @{ type = 'str'; default = '' }
                type = @{
                    type = 'str'
                    choices = 'dword', 'qword', 'string', 'expandstring', 'multistring'
                    default = 'dword'
                }
                data = @{ type = 'raw' }
                state = @{ type = 'str'; choices = 'present', 'absent'; default = 'present' }
                reboot = @{ type = 'bool'; default = $false }
                restart = @{ type = 'str' }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$kinds = @{
    dword = [Microsoft.Win32.RegistryValueKind]::DWord
    qword = [Microsoft.Win32.RegistryValueKind]::QWord
    string = [Microsoft.Win32.RegistryValueKind]::String
    expandstring = [Microsoft.Win32.RegistryValueKind]::ExpandString
    multistring = [Microsoft.Win32.RegistryValueKind]::MultiString
}

$awaitedKey = 'SOFTWARE\cnosf.infogerance.awaited'

function Get-SubKeyName {
    # The key's name below HKLM: .NET takes names that the PowerShell provider splits, such as "RC4 128/128".
    param ([string]$Path)
    if ($Path -notmatch '^HKLM:\\(?<name>.+?)\\*$') {
        throw "the path '$Path' must start with HKLM:\"
    }
    $Matches['name']
}

function ConvertTo-RegistryData {
    # The declared data as .NET stores it: the registry keeps unsigned words in signed integers.
    param ([string]$Type, [object]$Data)
    switch ($Type) {
        'dword' { [System.BitConverter]::ToInt32([System.BitConverter]::GetBytes([System.Convert]::ToUInt32($Data)), 0) }
        'qword' { [System.BitConverter]::ToInt64([System.BitConverter]::GetBytes([System.Convert]::ToUInt64($Data)), 0) }
        'multistring' { , [string[]]@($Data) }
        default { [string]$Data }
    }
}

function ConvertFrom-RegistryData {
    # What .NET read, as JSON shows it.
    param ([Microsoft.Win32.RegistryValueKind]$Kind, [object]$Data)
    switch ($Kind.ToString()) {
        'DWord' { [System.BitConverter]::ToUInt32([System.BitConverter]::GetBytes([int]$Data), 0) }
        'QWord' { [System.BitConverter]::ToUInt64([System.BitConverter]::GetBytes([long]$Data), 0) }
        'MultiString' { , [string[]]@($Data) }
        'Binary' { [System.BitConverter]::ToString([byte[]]$Data) }
        default { [string]$Data }
    }
}

function Get-RegistryValue {
    # Kind and data of one value, or null when the key or the value does not exist.
    param ([Microsoft.Win32.RegistryKey]$Hive, [string]$SubKey, [string]$Name)
    $key = $Hive.OpenSubKey($SubKey)
    if ($null -eq $key) {
        return $null
    }
    try {
        if (@($key.GetValueNames()) -notcontains $Name) {
            return $null
        }
        $kind = $key.GetValueKind($Name)
        $raw = $key.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
        return @{ kind = $kind; data = ConvertFrom-RegistryData -Kind $kind -Data $raw }
    }
    finally {
        $key.Dispose()
    }
}

function Test-SameValue {
    # Strings are compared with case; a list in its order.
    param ([object]$Current, [Microsoft.Win32.RegistryValueKind]$Kind, [object]$Wanted)
    if ($null -eq $Current -or $Current.kind -ne $Kind) {
        return $false
    }
    (@($Current.data) -join "`0") -ceq (@($Wanted) -join "`0")
}

function Write-RegistryValue {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([Microsoft.Win32.RegistryKey]$Hive, [string]$SubKey, [string]$Name, [Microsoft.Win32.RegistryValueKind]$Kind, [object]$Data)
    if ($PSCmdlet.ShouldProcess("HKLM:\$SubKey\$Name", 'set')) {
        $key = $Hive.CreateSubKey($SubKey)
        try { $key.SetValue($Name, $Data, $Kind) } finally { $key.Dispose() }
    }
}

function Clear-RegistryValue {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([Microsoft.Win32.RegistryKey]$Hive, [string]$SubKey, [string]$Name)
    if ($PSCmdlet.ShouldProcess("HKLM:\$SubKey\$Name", 'remove')) {
        $key = $Hive.OpenSubKey($SubKey, $true)
        try { $key.DeleteValue($Name) } finally { $key.Dispose() }
    }
}

function Write-AwaitedMark {
    # What a change waits for is noted before it is made, so that a run that is cut short does not forget it. The key is
    # volatile: Windows drops it at the next boot, when nothing is awaited any more.
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([Microsoft.Win32.RegistryKey]$Hive, [string]$Name)
    if ($PSCmdlet.ShouldProcess("HKLM:\$awaitedKey\$Name", 'set')) {
        $check = [Microsoft.Win32.RegistryKeyPermissionCheck]::ReadWriteSubTree
        $key = $Hive.CreateSubKey($awaitedKey, $check, [Microsoft.Win32.RegistryOptions]::Volatile)
        try { $key.SetValue($Name, 1, [Microsoft.Win32.RegistryValueKind]::DWord) } finally { $key.Dispose() }
    }
}

function Write-ValueMark {
    [CmdletBinding(SupportsShouldProcess = $true)]
    param ([Microsoft.Win32.RegistryKey]$Hive, [System.Collections.IDictionary]$Value)
    if ($Value['reboot']) {
        Write-AwaitedMark -Hive $Hive -Name 'reboot'
    }
    if ($Value['restart']) {
        Write-AwaitedMark -Hive $Hive -Name "restart:$($Value['restart'])"
    }
}

$changes = [System.Collections.Generic.List[object]]@()
$view = [Microsoft.Win32.RegistryView]::Registry64
$hive = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, $view)
try {
    foreach ($value in $module.Params['values']) {
        $label = '{0}\{1}' -f $value.path, $value.name
        try {
            $subKey = Get-SubKeyName -Path $value.path
            $current = Get-RegistryValue -Hive $hive -SubKey $subKey -Name $value.name
            $before = if ($null -ne $current) { $current.data } else { $null }
            $change = @{
                path = $value.path
                name = $value.name
                type = $value.type
                before = $before
                after = $null
                reboot = $value.reboot
                restart = $value.restart
            }
            if ($value.state -eq 'absent') {
                if ($null -eq $current) {
                    continue
                }
                Write-ValueMark -Hive $hive -Value $value -WhatIf:$module.CheckMode
                Clear-RegistryValue -Hive $hive -SubKey $subKey -Name $value.name -WhatIf:$module.CheckMode
            }
            else {
                if ($null -eq $value.data) {
                    throw 'data is required when state is present'
                }
                $kind = $kinds[$value.type]
                $stored = ConvertTo-RegistryData -Type $value.type -Data $value.data
                $wanted = ConvertFrom-RegistryData -Kind $kind -Data $stored
                if (Test-SameValue -Current $current -Kind $kind -Wanted $wanted) {
                    continue
                }
                Write-ValueMark -Hive $hive -Value $value -WhatIf:$module.CheckMode
                Write-RegistryValue -Hive $hive -SubKey $subKey -Name $value.name -Kind $kind -Data $stored -WhatIf:$module.CheckMode
                $change.after = $wanted
            }
            $changes.Add($change)
        }
        catch {
            $module.FailJson("registry value ${label}: $($_.Exception.Message)", $_)
        }
    }
}
finally {
    $hive.Dispose()
}

$module.Result.changed = $changes.Count -gt 0
$module.Result.changes = $changes
$module.Diff.before = @($changes | ForEach-Object -Process { '{0}\{1} = {2}' -f $_.path, $_.name, (@($_.before) -join ', ') }) -join "`n"
$module.Diff.after = @($changes | ForEach-Object -Process { '{0}\{1} = {2}' -f $_.path, $_.name, (@($_.after) -join ', ') }) -join "`n"
$module.ExitJson()
