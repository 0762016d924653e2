#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        disk = @{ type = 'int'; required = $true }
        letter = @{ type = 'str'; required = $true }
        label = @{ type = 'str'; default = 'Sauvegarde' }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$number = $module.Params.disk
$letter = $module.Params.letter.TrimEnd(':').ToUpperInvariant()
if ($letter -notmatch '^[D-Z]$') { $module.FailJson("'$($module.Params.letter)' is no letter for a data volume; D to Z are") }

$disk = @(Get-Disk | Where-Object { $_.Number -eq $number })
if ($disk.Count -eq 0) { $module.FailJson("There is no disk $number; give the server a further one first") }
if ($disk[0].IsSystem -or $disk[0].IsBoot) { $module.FailJson("Disk $number holds the system; the backup needs one of its own") }

$partitions = @(Get-Partition | Where-Object { $_.DriveLetter -eq $letter })
if ($partitions.Count -gt 0 -and $partitions[0].DiskNumber -ne $number) {
    $module.FailJson("The letter $letter belongs to disk $($partitions[0].DiskNumber), not to disk $number")
}
$raw = $disk[0].PartitionStyle.ToString() -eq 'RAW'
# The reserved partition of a GPT disk holds nothing.
$held = @(Get-Partition | Where-Object { $_.DiskNumber -eq $number -and $_.Type -ne 'Reserved' })
if ($partitions.Count -eq 0 -and $held.Count -gt 0) {
    $module.FailJson("Disk $number holds a partition already and nothing is erased here; give that one the letter $letter, or empty the disk")
}
$volume = @(Get-Volume | Where-Object { $_.DriveLetter -eq $letter })
$format = $(if ($partitions.Count -gt 0 -and $volume.Count -gt 0) { [string]$volume[0].FileSystem } else { '' })
if ($format -and $format -ne 'NTFS') { $module.FailJson("Volume $letter is $format; a backup of Windows needs NTFS and nothing is erased here") }

$module.Diff.before = @{ disk = $number; initialised = -not $raw; letter = $(if ($partitions.Count -gt 0) { $letter } else { '' }); format = $format }
$module.Diff.after = @{ disk = $number; initialised = $true; letter = $letter; format = 'NTFS' }
$module.Result.changed = $format -ne 'NTFS'
if (-not $module.Result.changed -or $module.CheckMode) { $module.ExitJson() }

try {
    if ($disk[0].IsOffline) { Set-Disk -Number $number -IsOffline $false }
    if ($disk[0].IsReadOnly) { Set-Disk -Number $number -IsReadOnly $false }
    if ($raw) { Initialize-Disk -Number $number -PartitionStyle GPT }
    if ($partitions.Count -eq 0) { $null = New-Partition -DiskNumber $number -UseMaximumSize -DriveLetter $letter }
    $null = Format-Volume -DriveLetter $letter -FileSystem NTFS -NewFileSystemLabel $module.Params.label -Confirm:$false
}
catch {
    $module.FailJson("Disk $number was not made the volume ${letter}: $_", $_)
}
$module.ExitJson()
