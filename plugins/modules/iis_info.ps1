#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        attributes = @{
            type = 'list'
            elements = 'dict'
            options = @{
                filter = @{ type = 'str'; required = $true }
                name = @{ type = 'str'; required = $true }
            }
        }
        collections = @{
            type = 'list'
            elements = 'dict'
            options = @{
                filter = @{ type = 'str'; required = $true }
                key = @{ type = 'str'; required = $true; no_log = $false }
                value = @{ type = 'str'; required = $true }
            }
        }
        credentials = @{
            type = 'list'
            elements = 'dict'
            options = @{
                pool = @{ type = 'str'; required = $true }
                password = @{ type = 'str'; required = $true; no_log = $true }
            }
        }
        folders = @{ type = 'list'; elements = 'str' }
        rights = @{ type = 'list'; elements = 'str' }
        releases = @{ type = 'list'; elements = 'str' }
        retention_task = @{ type = 'str' }
        log_directory = @{ type = 'str' }
        endpoints = @{
            type = 'list'
            elements = 'dict'
            options = @{
                site = @{ type = 'str'; required = $true }
                address = @{ type = 'str'; required = $true }
                port = @{ type = 'int'; required = $true }
                host = @{ type = 'str' }
                tls = @{ type = 'bool'; required = $true }
                path = @{ type = 'str'; required = $true }
            }
        }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

# Attributes of an application pool, by the names of IIS's schema, and the properties that hold them.
$poolAttributes = [ordered]@{
    'managedRuntimeVersion' = { $args[0].ManagedRuntimeVersion }
    'managedPipelineMode' = { $args[0].ManagedPipelineMode }
    'enable32BitAppOnWin64' = { $args[0].Enable32BitAppOnWin64 }
    'autoStart' = { $args[0].AutoStart }
    'startMode' = { $args[0].StartMode }
    'queueLength' = { $args[0].QueueLength }
    'processModel.identityType' = { $args[0].ProcessModel.IdentityType }
    'processModel.userName' = { $args[0].ProcessModel.UserName }
    'processModel.loadUserProfile' = { $args[0].ProcessModel.LoadUserProfile }
    'processModel.idleTimeout' = { $args[0].ProcessModel.IdleTimeout }
    'processModel.maxProcesses' = { $args[0].ProcessModel.MaxProcesses }
    'recycling.periodicRestart.time' = { $args[0].Recycling.PeriodicRestart.Time }
    'recycling.periodicRestart.privateMemory' = { $args[0].Recycling.PeriodicRestart.PrivateMemory }
    'recycling.periodicRestart.requests' = { $args[0].Recycling.PeriodicRestart.Requests }
    'failure.rapidFailProtection' = { $args[0].Failure.RapidFailProtection }
}

function Get-Text {
    # Any value as text, the same in every language of Windows.
    param ([object]$Value)
    [System.Convert]::ToString($Value, [System.Globalization.CultureInfo]::InvariantCulture)
}

function Get-Stamp {
    param ([datetime]$Moment)
    $Moment.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ', [System.Globalization.CultureInfo]::InvariantCulture)
}

function Get-RunState {
    # Started or Stopped of a site or pool; WAS alone knows it, and none runs without WAS.
    param ([object]$Item)
    try { Get-Text -Value $Item.State } catch [System.Runtime.InteropServices.COMException] { 'Stopped' }
}

function Get-Element {
    # The configuration element of a filter such as /system.webServer/security/requestFiltering/verbs, or null.
    param ([object]$Configuration, [string]$Filter)
    $known = @(
        '/system.webServer/security/requestFiltering'
        '/system.webServer/httpProtocol'
        '/system.web/httpRuntime'
    )
    $section = @($known | Where-Object -FilterScript { "$Filter/".StartsWith("$_/") })[0]
    $below = $Filter.Substring($section.Length).Trim('/')
    try {
        $element = $Configuration.GetSection($section.Substring(1))
        if ($below) { $element.GetChildElement($below) } else { $element }
    }
    catch [System.Runtime.InteropServices.COMException] {
        $null  # the feature that brings the section is not installed
    }
}

function Get-AttributeValue {
    param ([object]$Element, [string]$Name)
    if ($null -eq $Element -or @($Element.Schema.AttributeSchemas | Where-Object -Property Name -EQ -Value $Name).Count -eq 0) {
        return $null
    }
    Get-Text -Value $Element.GetAttributeValue($Name)
}

function Get-VirtualDirectory {
    param ([object]$Application)
    foreach ($directory in $Application.VirtualDirectories) {
        if ($directory.Path -ne '/') {
            @{ path = $directory.Path.Trim('/'); physical_path = [Environment]::ExpandEnvironmentVariables($directory.PhysicalPath) }
        }
    }
}

function Get-SiteState {
    param ([object]$Site)
    $root = $Site.Applications['/']
    $hsts = $null
    if (@($Site.Schema.ChildElementSchemas | Where-Object -Property Name -EQ -Value 'hsts').Count -gt 0) {
        $hsts = $Site.GetChildElement('hsts')
    }
    @{
        name = $Site.Name
        state = Get-RunState -Item $Site
        pool = $root.ApplicationPoolName
        physical_path = [Environment]::ExpandEnvironmentVariables($root.VirtualDirectories['/'].PhysicalPath)
        bindings = @(
            foreach ($binding in $Site.Bindings) {
                $hash = $binding.CertificateHash
                @{
                    protocol = $binding.Protocol
                    information = $binding.BindingInformation
                    sni = ([int]$binding.SslFlags -band 1) -eq 1
                    certificate = if ($null -ne $hash) { [System.BitConverter]::ToString($hash).Replace('-', '') } else { '' }
                    store = [string]$binding.CertificateStoreName
                }
            }
        )
        virtual_directories = @(Get-VirtualDirectory -Application $root)
        applications = @(
            foreach ($application in $Site.Applications) {
                if ($application.Path -ne '/') {
                    @{
                        path = $application.Path.Trim('/')
                        pool = $application.ApplicationPoolName
                        physical_path = [Environment]::ExpandEnvironmentVariables($application.VirtualDirectories['/'].PhysicalPath)
                        virtual_directories = @(Get-VirtualDirectory -Application $application)
                    }
                }
            }
        )
        hsts = @(
            foreach ($name in 'enabled', 'max-age', 'includeSubDomains', 'preload', 'redirectHttpToHttps') {
                $value = Get-AttributeValue -Element $hsts -Name $name
                if ($null -ne $value) { @{ name = $name; value = $value } }
            }
        )
    }
}

function Get-PoolState {
    param ([object]$Pool, [hashtable]$Passwords)
    @{
        name = $Pool.Name
        state = Get-RunState -Item $Pool
        attributes = @(
            foreach ($name in $poolAttributes.Keys) {
                @{ name = $name; value = Get-Text -Value ($poolAttributes[$name].Invoke($Pool)[0]) }
            }
        )
        recycle_times = @($Pool.Recycling.PeriodicRestart.Schedule | ForEach-Object -Process { Get-Text -Value $_.Time })
        password_matches = -not $Passwords.ContainsKey($Pool.Name) -or $Pool.ProcessModel.Password -ceq $Passwords[$Pool.Name]
    }
}

function Get-Mark {
    # What a release's mark holds, or nothing.
    param ([string]$Path)
    if ([System.IO.File]::Exists($Path)) { [System.IO.File]::ReadAllText($Path).Trim() } else { '' }
}

function Get-RightState {
    # Who may do what in a folder: SDDL is the same in every language of Windows.
    param ([string]$Path)
    $exists = [System.IO.Directory]::Exists($Path)
    $section = [System.Security.AccessControl.AccessControlSections]::Access
    @{ path = $Path; exists = $exists; sddl = if ($exists) { (Get-Acl -LiteralPath $Path).GetSecurityDescriptorSddlForm($section) } else { '' } }
}

function Get-ReleaseState {
    param ([string]$Path)
    $names = if ([System.IO.Directory]::Exists($Path)) { [System.IO.Directory]::GetDirectories($Path) } else { @() }
    foreach ($folder in $names) {
        $healthy = Get-Mark -Path "$folder.healthy"
        @{
            name = [System.IO.Path]::GetFileName($folder)
            unpacked = Get-Mark -Path "$folder.unpacked"
            healthy = $healthy
            since = if ($healthy) { Get-Stamp -Moment ([System.IO.File]::GetLastWriteTimeUtc("$folder.healthy")) } else { '' }
        }
    }
}

function Get-Stream {
    # A connection to a site, with TLS of one kind where it speaks it. Any certificate is taken: it is looked at afterwards.
    param ([hashtable]$Endpoint, [System.Security.Authentication.SslProtocols]$Protocol)
    $client = [System.Net.Sockets.TcpClient]::new()
    $client.ReceiveTimeout = 20000
    $client.SendTimeout = 20000
    $client.Connect($Endpoint.address, $Endpoint.port)
    if (-not $Endpoint.tls) {
        return $client.GetStream()
    }
    $name = if ($Endpoint.host) { $Endpoint.host } else { $Endpoint.address }
    $stream = [System.Net.Security.SslStream]::new($client.GetStream(), $false, { $true })
    $stream.AuthenticateAsClient($name, $null, $Protocol, $false)
    $stream
}

function Get-Answer {
    # What a site answers to one request made by hand: the name asked for needs no entry in any DNS.
    param ([hashtable]$Endpoint)
    $answer = @{ site = $Endpoint.site; error = ''; status = 0; hsts = ''; certificate = ''; not_after = ''; old_protocols = @() }
    try {
        $stream = Get-Stream -Endpoint $Endpoint -Protocol ([System.Security.Authentication.SslProtocols]::Tls12)
        if ($Endpoint.tls) {
            $certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new($stream.RemoteCertificate)
            $answer.certificate = $certificate.Thumbprint
            $answer.not_after = Get-Stamp -Moment $certificate.NotAfter
        }
        $name = if ($Endpoint.host) { $Endpoint.host } else { $Endpoint.address }
        $request = "GET $($Endpoint.path) HTTP/1.1`r`nHost: ${name}:$($Endpoint.port)`r`nUser-Agent: cnosf.infogerance`r`nConnection: close`r`n`r`n"
        $bytes = [System.Text.Encoding]::ASCII.GetBytes($request)
        $stream.Write($bytes, 0, $bytes.Length)
        $reader = [System.IO.StreamReader]::new($stream, [System.Text.Encoding]::ASCII)
        $answer.status = [int]$reader.ReadLine().Split(' ')[1]
        for ($line = $reader.ReadLine(); $line; $line = $reader.ReadLine()) {
            if ($line -match '^Strict-Transport-Security:\s*(?<value>.+)$') { $answer.hsts = $Matches['value'].Trim() }
        }
        $stream.Dispose()
    }
    catch {
        $answer.error = $_.Exception.GetBaseException().Message
        return $answer
    }
    $answer.old_protocols = @(
        foreach ($old in @(@{ name = 'TLS 1.0'; protocol = 'Tls' }, @{ name = 'TLS 1.1'; protocol = 'Tls11' })) {
            if ($Endpoint.tls) {
                try {
                    (Get-Stream -Endpoint $Endpoint -Protocol $old.protocol).Dispose()
                    $old.name
                }
                catch {
                    Write-Debug -Message "$($old.name) is refused"
                }
            }
        }
    )
    $answer
}

$present = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\cnosf.infogerance.awaited' -ErrorAction Ignore
$state = @{
    time = Get-Stamp -Moment ([datetime]::UtcNow)
    build = [Environment]::OSVersion.Version.Build
    installed = $false
    reboot_awaited = $null -ne $present -and $null -ne $present.PSObject.Properties['reboot']
    missing_folders = @($module.Params.folders | Where-Object -FilterScript { $_ -and -not [System.IO.Directory]::Exists($_) })
    rights = @(foreach ($path in @($module.Params.rights | Where-Object -FilterScript { $_ })) { Get-RightState -Path $path })
    releases = @(
        foreach ($path in @($module.Params.releases | Where-Object -FilterScript { $_ })) {
            @{ path = $path; folders = @(Get-ReleaseState -Path $path) }
        }
    )
}
$module.Result.state = $state

$library = "$env:SystemRoot\System32\inetsrv\Microsoft.Web.Administration.dll"
if (-not [System.IO.File]::Exists($library)) {
    $module.ExitJson()
}
$null = [System.Reflection.Assembly]::LoadFrom($library)
$manager = [Microsoft.Web.Administration.ServerManager]::new()
$configuration = $manager.GetApplicationHostConfiguration()
$rootWeb = $manager.GetRootWebConfiguration()
$state.installed = $true

$services = @(Get-CimInstance -ClassName Win32_Service -Filter "Name = 'W3SVC' OR Name = 'WAS'")
$state.services = @(
    foreach ($service in $services) {
        @{ name = $service.Name; state = $service.State.ToLowerInvariant(); start_mode = $service.StartMode.ToLowerInvariant() }
    }
)

# The module of the .NET hosting bundle is only seen by an IIS that starts after it: creation is when it was installed.
$hosting = "$env:ProgramFiles\IIS\Asp.Net Core Module\V2\aspnetcorev2.dll"
$state.module_present = [System.IO.File]::Exists($hosting)
$running = @($services | Where-Object -FilterScript { $_.Name -eq 'W3SVC' -and $_.ProcessId -ne 0 })
$state.stale_module = $state.module_present -and $running.Count -gt 0 -and
(Get-Process -Id $running[0].ProcessId).StartTime.ToUniversalTime() -lt [System.IO.File]::GetCreationTimeUtc($hosting)

$passwords = @{}
foreach ($credential in @($module.Params.credentials | Where-Object -FilterScript { $_ })) {
    $passwords[$credential.pool] = $credential.password
}
$state.pools = @(foreach ($pool in $manager.ApplicationPools) { Get-PoolState -Pool $pool -Passwords $passwords })
$state.sites = @(foreach ($site in $manager.Sites) { Get-SiteState -Site $site })

$state.settings = @(
    foreach ($wanted in @($module.Params.attributes | Where-Object -FilterScript { $_ })) {
        $source = if ($wanted.filter.StartsWith('/system.web/')) { $rootWeb } else { $configuration }
        $value = Get-AttributeValue -Element (Get-Element -Configuration $source -Filter $wanted.filter) -Name $wanted.name
        @{ filter = $wanted.filter; name = $wanted.name; value = $value }
    }
)
$state.collections = @(
    foreach ($wanted in @($module.Params.collections | Where-Object -FilterScript { $_ })) {
        $element = Get-Element -Configuration $configuration -Filter $wanted.filter
        $entries = if ($null -ne $element) { $element.GetCollection() } else { @() }
        @{
            filter = $wanted.filter
            entries = @(
                foreach ($entry in $entries) {
                    @{
                        key = Get-Text -Value $entry.GetAttributeValue($wanted.key)
                        value = Get-Text -Value $entry.GetAttributeValue($wanted.value)
                    }
                }
            )
        }
    }
)

$log = $manager.SiteDefaults.LogFile
$oldest = -1
$directory = $module.Params.log_directory
if ($directory -and [System.IO.Directory]::Exists($directory)) {
    foreach ($file in [System.IO.Directory]::EnumerateFiles($directory, '*.log', [System.IO.SearchOption]::AllDirectories)) {
        $age = [int][Math]::Floor(([datetime]::UtcNow - [System.IO.File]::GetLastWriteTimeUtc($file)).TotalDays)
        $oldest = [Math]::Max($oldest, $age)
    }
}
$state.log = @{
    directory = $log.Directory
    format = Get-Text -Value $log.LogFormat
    period = Get-Text -Value $log.Period
    truncate_bytes = [long]$log.TruncateSize
    local_time = [bool]$log.LocalTimeRollover
    fields = @($log.LogExtFileFlags.ToString().Split(',') | ForEach-Object -Process { $_.Trim() })
    oldest_days = $oldest
}

$state.retention = @{ exists = $false; enabled = $false; last_result = 0 }
$name = $module.Params.retention_task
$task = @(if ($name) { Get-ScheduledTask -TaskName $name -ErrorAction Ignore })
if ($task.Count -gt 0) {
    $result = Get-ScheduledTaskInfo -InputObject $task[0]
    $state.retention = @{ exists = $true; enabled = [bool]$task[0].Settings.Enabled; last_result = [long]$result.LastTaskResult }
}

$state.answers = @(
    foreach ($endpoint in @($module.Params.endpoints | Where-Object -FilterScript { $_ })) { Get-Answer -Endpoint $endpoint }
)
$module.ExitJson()
