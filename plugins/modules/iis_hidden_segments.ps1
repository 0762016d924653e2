#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        segments = @{ type = 'list'; elements = 'str'; required = $true }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$library = "$env:SystemRoot\System32\inetsrv\Microsoft.Web.Administration.dll"
if (-not [System.IO.File]::Exists($library)) {
    $module.FailJson('IIS is not installed on this server: install the feature Web-Server first')
}
$null = [System.Reflection.Assembly]::LoadFrom($library)
$manager = [Microsoft.Web.Administration.ServerManager]::new()
$section = $manager.GetApplicationHostConfiguration().GetSection('system.webServer/security/requestFiltering')
$collection = $section.GetCollection('hiddenSegments')

$before = @($collection | ForEach-Object -Process { [string]$_.GetAttributeValue('segment') })
$missing = @($module.Params.segments | Where-Object -FilterScript { $before -notcontains $_ })
foreach ($segment in $missing) {
    $entry = $collection.CreateElement('add')
    $entry.SetAttributeValue('segment', $segment)
    $null = $collection.Add($entry)
}
if ($missing.Count -gt 0 -and -not $module.CheckMode) {
    $manager.CommitChanges()
}

$module.Result.changed = $missing.Count -gt 0
$module.Diff.before = $before -join "`n"
$module.Diff.after = @($before + $missing) -join "`n"
$module.ExitJson()
