#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$masks = @{ full = 'FullControl'; modify = 'Modify, Synchronize'; read = 'ReadAndExecute, Synchronize' }

$spec = @{
    options = @{
        paths = @{
            type = 'list'
            elements = 'dict'
            required = $true
            options = @{
                path = @{ type = 'str'; required = $true }
                kind = @{ type = 'str'; choices = 'directory', 'file'; default = 'directory' }
                exact = @{ type = 'bool'; default = $true }
                entries = @{
                    type = 'list'
                    elements = 'dict'
                    required = $true
                    options = @{
                        sid = @{ type = 'str'; required = $true }
                        rights = @{ type = 'str'; choices = 'full', 'modify', 'read'; required = $true }
                    }
                }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

Function Get-RuleText {
    # One line a rule, so that lists of rules can be compared.
    param ($Security)
    $rules = $Security.GetAccessRules($true, $true, [System.Security.Principal.SecurityIdentifier])
    @(
        foreach ($rule in $rules) {
            '{0} {1} 0x{2:x} {3} {4} {5}' -f $rule.IdentityReference.Value, $rule.AccessControlType, [int]$rule.FileSystemRights,
            [int]$rule.InheritanceFlags, [int]$rule.PropagationFlags, $rule.IsInherited
        }
    ) | Sort-Object
}

Function Get-WantedRule {
    param ([System.Collections.IDictionary]$Wanted)
    $handed = if ($Wanted.kind -eq 'directory') { 'ContainerInherit, ObjectInherit' } else { 'None' }
    foreach ($entry in $Wanted.entries) {
        $sid = New-Object -TypeName System.Security.Principal.SecurityIdentifier -ArgumentList $entry.sid
        $list = $sid, $masks[$entry.rights], $handed, 'None', 'Allow'
        New-Object -TypeName System.Security.AccessControl.FileSystemAccessRule -ArgumentList $list
    }
}

$before = [System.Collections.Generic.List[string]]@()
$after = [System.Collections.Generic.List[string]]@()
$changes = [System.Collections.Generic.List[string]]@()
foreach ($wanted in $module.Params.paths) {
    try {
        $exists = Test-Path -LiteralPath $wanted.path
        if (-not $exists -and $wanted.kind -eq 'file' -and -not $module.CheckMode) {
            $module.FailJson("'$($wanted.path)' does not exist: write the file before its rights are set")
        }
        $type = if ($wanted.kind -eq 'directory') { 'DirectorySecurity' } else { 'FileSecurity' }
        # What is not there, or must not keep what it has, starts from an empty list.
        $current = if ($exists) { Get-Acl -LiteralPath $wanted.path } else { New-Object -TypeName "System.Security.AccessControl.$type" }
        $target = $current
        if ($wanted.exact) {
            $target = New-Object -TypeName "System.Security.AccessControl.$type"
            $target.SetAccessRuleProtection($true, $false)
        }
        $held = @(Get-RuleText -Security $current)
        foreach ($rule in @(Get-WantedRule -Wanted $wanted)) { $target.AddAccessRule($rule) }
        $planned = @(Get-RuleText -Security $target)
        $same = $exists -and $target.AreAccessRulesProtected -eq $current.AreAccessRulesProtected -and ($held -join ';') -eq ($planned -join ';')
        if ($same) { continue }
        $module.Result.changed = $true
        $changes.Add($wanted.path)
        if ($exists) { $before.Add("$($wanted.path)`n$($held -join "`n")") }
        $after.Add("$($wanted.path)`n$($planned -join "`n")")
        if ($module.CheckMode) { continue }
        if (-not $exists) { $null = New-Item -Path $wanted.path -ItemType Directory -Force }
        # SetAccessControl writes the list only; Set-Acl would write the owner too.
        (Get-Item -LiteralPath $wanted.path -Force).SetAccessControl($target)
    }
    catch {
        $module.FailJson("the rights on '$($wanted.path)' cannot be set: $($_.Exception.Message)", $_)
    }
}

$module.Result.changes = $changes
$module.Diff.before = $before -join "`n"
$module.Diff.after = $after -join "`n"
$module.ExitJson()
