#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{}
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$path = 'HKLM:\SOFTWARE\Microsoft\ServerManager\Roles\12'
$mark = Get-ItemProperty -LiteralPath $path -ErrorAction Ignore
$done = $null -ne $mark -and $null -ne $mark.PSObject.Properties['ConfigurationState'] -and $mark.ConfigurationState -eq 2
$module.Diff.before = @{ configured = $done }
$module.Diff.after = @{ configured = $true }

if (-not $done) {
    $module.Result.changed = $true
    if (-not $module.CheckMode) {
        try {
            Import-Module -Name DhcpServer
            # Creates the groups that administer and read the server, under the names of the system's language.
            Add-DhcpServerSecurityGroup
            Restart-Service -Name DHCPServer -Force
            # Written last: a run that is cut short starts again from the beginning.
            if (-not (Test-Path -LiteralPath $path)) { $null = New-Item -Path $path -Force }
            Set-ItemProperty -LiteralPath $path -Name ConfigurationState -Type DWord -Value 2
        }
        catch {
            $module.FailJson("The first configuration of the DHCP server failed; see that the DHCP feature is installed: $_", $_)
        }
    }
}
$module.ExitJson()
