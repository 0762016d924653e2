#!powershell

# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

#AnsibleRequires -CSharpUtil Ansible.Basic

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$spec = @{
    options = @{
        instance = @{ type = 'str'; default = 'MSSQLSERVER' }
        host = @{ type = 'str'; default = '' }
        principals = @{ type = 'list'; elements = 'str'; default = @() }
        maintenance_database = @{ type = 'str'; default = 'master' }
        failure_hours = @{ type = 'int'; default = 24 }
        backup_directory = @{ type = 'str'; default = '' }
    }
    supports_check_mode = $true
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$invariant = [System.Globalization.CultureInfo]::InvariantCulture
$instance = $module.Params.instance
$root = 'HKLM:\SOFTWARE\Microsoft\Microsoft SQL Server'

Function Get-RegistryValue {
    <#
    .SYNOPSIS
    A value of the registry, or a default where there is none.
    #>
    param ([string]$Path, [string]$Name, $Default)
    if (-not (Test-Path -LiteralPath $Path)) { return $Default }
    $value = (Get-Item -LiteralPath $Path).GetValue($Name)
    if ($null -eq $value) { return $Default }
    return $value
}

Function Get-Row {
    <#
    .SYNOPSIS
    The rows of a query as hashtables by column.
    #>
    param ([System.Data.SqlClient.SqlConnection]$Connection, [string]$Query, [hashtable]$Values = @{})
    $command = $Connection.CreateCommand()
    $command.CommandText = $Query
    foreach ($name in $Values.Keys) { $null = $command.Parameters.AddWithValue("@$name", $Values[$name]) }
    $reader = $command.ExecuteReader()
    try {
        while ($reader.Read()) {
            $row = @{}
            for ($index = 0; $index -lt $reader.FieldCount; $index++) {
                $value = $reader.GetValue($index)
                if ($value -is [System.DateTime]) { $value = $value.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant) }
                $row[$reader.GetName($index)] = $(if ($value -is [System.DBNull]) { '' } else { $value })
            }
            $row
        }
    }
    finally { $reader.Dispose() }
}

Function Get-OpenConnection {
    <#
    .SYNOPSIS
    An open connection, or nothing where the instance does not let one in.
    #>
    param ([string]$Server, [string]$Encryption)
    $text = "Data Source=$Server;Integrated Security=SSPI;Connect Timeout=10;Pooling=false;$Encryption"
    $connection = New-Object -TypeName System.Data.SqlClient.SqlConnection -ArgumentList $text
    try {
        $connection.Open()
        return $connection
    }
    catch [System.Data.SqlClient.SqlException] {
        $connection.Dispose()
        return $null
    }
}

Function Get-PrincipalState {
    <#
    .SYNOPSIS
    An account by its name or SID, under its name in the language of the server.
    #>
    param ([string]$Asked)
    $state = @{ asked = $Asked; name = ''; sid = '' }
    try {
        if ($Asked -match '^S-1-\d') { $sid = New-Object -TypeName System.Security.Principal.SecurityIdentifier -ArgumentList $Asked }
        else {
            $account = New-Object -TypeName System.Security.Principal.NTAccount -ArgumentList $Asked
            $sid = $account.Translate([System.Security.Principal.SecurityIdentifier])
        }
        $state.name = $sid.Translate([System.Security.Principal.NTAccount]).Value
        $state.sid = $sid.Value
    }
    catch [System.Security.Principal.IdentityNotMappedException] { $null = $_ }
    return $state
}

Function Get-FolderState {
    param ([string]$Path)
    $exists = [System.IO.Directory]::Exists($Path)
    $section = [System.Security.AccessControl.AccessControlSections]::Access
    @{ exists = $exists; sddl = $(if ($exists) { (Get-Acl -LiteralPath $Path).GetSecurityDescriptorSddlForm($section) } else { '' }) }
}

Function Get-ServiceState {
    param ([string[]]$Name)
    foreach ($service in @(Get-CimInstance -ClassName Win32_Service | Where-Object { $_.Name -in $Name })) {
        @{
            name = $service.Name
            state = $(if ($service.State -eq 'Running') { 'started' } else { 'stopped' })
            start = @{ Auto = 'auto'; Manual = 'manual'; Disabled = 'disabled' }[$service.StartMode]
            account = $service.StartName
        }
    }
}

# Times of msdb are the server's local ones: they are given in UTC with the offset of now.
$utc = "DATEADD(MINUTE, DATEDIFF(MINUTE, SYSDATETIME(), SYSUTCDATETIME()), {0})"
Function Get-UtcExpression {
    param ([string]$Column)
    $utc -f $Column
}


$queries = @{
    configuration = "SELECT name, CAST(value AS int) AS value, CAST(value_in_use AS int) AS value_in_use, is_dynamic,
        CAST(minimum AS int) AS minimum, CAST(maximum AS int) AS maximum FROM sys.configurations"
    logins = "SELECT name, RTRIM(type) AS kind, CONVERT(varchar(200), sid, 1) AS sid, is_disabled AS disabled,
        ISNULL(default_database_name, '') AS default_database FROM sys.server_principals WHERE type IN ('S', 'U', 'G')"
    databases = "SELECT d.name, CAST(CASE WHEN d.database_id <= 4 THEN 1 ELSE 0 END AS bit) AS [system], d.state_desc AS state,
        CASE d.recovery_model WHEN 1 THEN 'Full' WHEN 2 THEN 'BulkLogged' ELSE 'Simple' END AS recovery_model,
        ISNULL(SUSER_SNAME(d.owner_sid), '') AS owner, $(Get-UtcExpression -Column 'd.create_date') AS created,
        d.is_read_committed_snapshot_on AS read_committed_snapshot,
        (SELECT $(Get-UtcExpression -Column 'MAX(b.backup_finish_date)') FROM msdb.dbo.backupset b
            WHERE b.database_name = d.name AND b.type = 'D' AND b.is_copy_only = 0) AS last_full,
        (SELECT $(Get-UtcExpression -Column 'MAX(b.backup_finish_date)') FROM msdb.dbo.backupset b
            WHERE b.database_name = d.name AND b.type = 'L') AS last_log,
        CASE WHEN CAST(DATABASEPROPERTYEX(d.name, 'LastGoodCheckDbTime') AS datetime) > '19000102'
            THEN $(Get-UtcExpression -Column "CAST(DATABASEPROPERTYEX(d.name, 'LastGoodCheckDbTime') AS datetime)") END AS last_check
        FROM sys.databases d"
    tempdb = "SELECT name, physical_name AS path, type_desc AS kind, CAST(size / 128 AS int) AS size_megabytes,
        CAST(CASE WHEN is_percent_growth = 1 THEN 0 ELSE growth / 128 END AS int) AS growth_megabytes
        FROM sys.master_files WHERE database_id = 2 ORDER BY file_id"
    jobs = "SELECT j.name, CAST(j.enabled AS bit) AS enabled, ISNULL(SUSER_SNAME(j.owner_sid), '') AS owner,
        ISNULL(j.description, '') AS description, $(Get-UtcExpression -Column 'j.date_created') AS created,
        CAST(ISNULL(s.last_run_outcome, 5) AS int) AS last_outcome,
        CASE WHEN s.last_run_date > 0 THEN $(Get-UtcExpression -Column 'msdb.dbo.agent_datetime(s.last_run_date, s.last_run_time)')
            END AS last_run, ISNULL(o.name, '') AS operator, j.notify_level_email AS notify FROM msdb.dbo.sysjobs j
        LEFT JOIN msdb.dbo.sysjobservers s ON s.job_id = j.job_id
        LEFT JOIN msdb.dbo.sysoperators o ON o.id = j.notify_email_operator_id"
    operators = "SELECT name, ISNULL(email_address, '') AS email FROM msdb.dbo.sysoperators"
    alerts = "SELECT name, severity, message_id AS message, CAST(enabled AS bit) AS enabled FROM msdb.dbo.sysalerts"
    mail = "SELECT a.name AS account, ISNULL(p.name, '') AS profile, a.email_address AS address,
        ISNULL(a.display_name, '') AS display_name, s.servername AS server, s.port FROM msdb.dbo.sysmail_account a
        JOIN msdb.dbo.sysmail_server s ON s.account_id = a.account_id
        LEFT JOIN msdb.dbo.sysmail_profileaccount x ON x.account_id = a.account_id
        LEFT JOIN msdb.dbo.sysmail_profile p ON p.profile_id = x.profile_id"
    audits = "SELECT a.name, a.is_state_enabled AS enabled, ISNULL(s.name, '') AS specification FROM sys.server_audits a
        LEFT JOIN sys.server_audit_specifications s ON s.audit_guid = a.audit_guid"
}
# What belongs to something above: where it goes, under what, and by which column.
$details = @(
    @{ of = 'logins'; as = 'roles'; key = 'name'; column = 'role'
        query = "SELECT m.name AS [key], r.name AS role FROM sys.server_role_members x
            JOIN sys.server_principals m ON m.principal_id = x.member_principal_id
            JOIN sys.server_principals r ON r.principal_id = x.role_principal_id"
    }
    @{ of = 'jobs'; as = 'steps'; key = 'name'; column = ''
        query = "SELECT j.name AS [key], s.step_id AS id, s.step_name AS name, ISNULL(s.database_name, '') AS [database],
            ISNULL(s.command, '') AS command, s.subsystem FROM msdb.dbo.sysjobsteps s
            JOIN msdb.dbo.sysjobs j ON j.job_id = s.job_id ORDER BY s.step_id"
    }
    @{ of = 'jobs'; as = 'schedules'; key = 'name'; column = ''
        query = "SELECT j.name AS [key], s.name, CAST(s.enabled AS bit) AS enabled, s.freq_type, s.freq_interval,
            s.freq_recurrence_factor, s.freq_subday_type, s.freq_subday_interval, s.active_start_time
            FROM msdb.dbo.sysschedules s JOIN msdb.dbo.sysjobschedules x ON x.schedule_id = s.schedule_id
            JOIN msdb.dbo.sysjobs j ON j.job_id = x.job_id"
    }
    @{ of = 'alerts'; as = 'operators'; key = 'name'; column = 'operator'
        query = "SELECT a.name AS [key], o.name AS operator FROM msdb.dbo.sysnotifications n
            JOIN msdb.dbo.sysalerts a ON a.id = n.alert_id JOIN msdb.dbo.sysoperators o ON o.id = n.operator_id
            WHERE n.notification_method & 1 = 1"
    }
    @{ of = 'audits'; as = 'groups'; key = 'specification'; column = 'action'
        query = "SELECT s.name AS [key], d.audit_action_name AS action FROM sys.server_audit_specification_details d
            JOIN sys.server_audit_specifications s ON s.server_specification_id = d.server_specification_id"
    }
)
$users = "SELECT p.name, ISNULL(SUSER_SNAME(p.sid), '') AS login, ISNULL(p.default_schema_name, '') AS default_schema
    FROM sys.database_principals p WHERE p.type IN ('S', 'U', 'G') AND p.principal_id > 4"
$roles = "SELECT m.name AS [key], r.name AS role FROM sys.database_role_members x
    JOIN sys.database_principals m ON m.principal_id = x.member_principal_id
    JOIN sys.database_principals r ON r.principal_id = x.role_principal_id"

Function Add-Detail {
    <#
    .SYNOPSIS
    Puts rows under the entries they belong to.
    #>
    param ([object[]]$Entries, [object[]]$Rows, [string]$Name, [string]$Key, [string]$Column)
    foreach ($entry in $Entries) {
        $own = @($Rows | Where-Object { $_['key'] -eq $entry[$Key] })
        if ($Column) { $entry[$Name] = @($own | ForEach-Object -Process { $_[$Column] }) }
        else { $entry[$Name] = @($own | ForEach-Object -Process { $_.Remove('key'); $_ }) }
    }
}

Function Get-DatabaseUser {
    <#
    .SYNOPSIS
    Users of one database and their roles.
    #>
    param ([System.Data.SqlClient.SqlConnection]$Connection, [string]$Name)
    $Connection.ChangeDatabase($Name)
    $found = @(Get-Row -Connection $Connection -Query $users)
    Add-Detail -Entries $found -Rows @(Get-Row -Connection $Connection -Query $roles) -Name roles -Key name -Column role
    $Connection.ChangeDatabase('master')
    $found
}

Function Get-MaintenanceState {
    <#
    .SYNOPSIS
    Version of the maintenance solution, written in its procedures, and its commands that failed of late.
    #>
    param ([System.Data.SqlClient.SqlConnection]$Connection)
    $state = @{ version = ''; logs = $false; failures = @() }
    $Connection.ChangeDatabase($module.Params.maintenance_database)
    $text = @(Get-Row -Connection $Connection -Query "SELECT OBJECT_DEFINITION(OBJECT_ID('dbo.DatabaseBackup')) AS definition")[0].definition
    if ($text -match 'Version: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)') { $state.version = $Matches[1] }
    if (@(Get-Row -Connection $Connection -Query "SELECT OBJECT_ID('dbo.CommandLog') AS id WHERE OBJECT_ID('dbo.CommandLog') > 0").Count) {
        $state.logs = $true
        $state.failures = @(Get-Row -Connection $Connection -Values @{ hours = $module.Params.failure_hours } -Query (
                "SELECT TOP (20) $(Get-UtcExpression -Column 'StartTime') AS time, ISNULL(DatabaseName, '') AS [database],
                CommandType AS command, ISNULL(ErrorMessage, CAST(ErrorNumber AS nvarchar(20))) AS message FROM dbo.CommandLog
                WHERE ErrorNumber <> 0 AND StartTime > DATEADD(HOUR, -@hours, SYSDATETIME()) ORDER BY StartTime DESC"))
    }
    $Connection.ChangeDatabase('master')
    return $state
}

$computer = Get-CimInstance -ClassName Win32_ComputerSystem
$fqdn = $(if ($computer.PartOfDomain) { '{0}.{1}' -f $computer.DNSHostName, $computer.Domain } else { $computer.DNSHostName })
$default = $instance -eq 'MSSQLSERVER'
$names = @{ $true = @('MSSQLSERVER', 'SQLSERVERAGENT'); $false = @("MSSQL`$$instance", "SQLAgent`$$instance") }[$default]
$id = Get-RegistryValue -Path "$root\Instance Names\SQL" -Name $instance -Default ''

$state = @{
    time = [System.DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
    hostname = $fqdn.ToLowerInvariant()
    memory_megabytes = [int][System.Math]::Round($computer.TotalPhysicalMemory / 1048576)
    processors = [int]$computer.NumberOfLogicalProcessors
    installed = [bool]$id
    answers = $false
    id = $id
    principals = @($module.Params.principals | ForEach-Object -Process { Get-PrincipalState -Asked $_ })
    services = @(Get-ServiceState -Name ($names + 'SQLBrowser'))
    others = @()
    backup_directory = Get-FolderState -Path $module.Params.backup_directory
    back_connection = @(Get-RegistryValue -Path 'HKLM:\SYSTEM\CurrentControlSet\Control\Lsa\MSV1_0' -Name BackConnectionHostNames -Default @())
}
if (Test-Path -LiteralPath "$root\Instance Names\SQL") {
    $state.others = @(foreach ($other in (Get-Item -LiteralPath "$root\Instance Names\SQL").GetValueNames()) {
            if ($other -ne $instance) {
                $path = '{0}\{1}\MSSQLServer\SuperSocketNetLib\Tcp\IPAll' -f $root, (Get-RegistryValue -Path "$root\Instance Names\SQL" -Name $other)
                @{ name = $other; port = [string](Get-RegistryValue -Path $path -Name TcpPort -Default '') }
            }
        })
}
if (-not $id) {
    $module.Result.state = $state
    $module.ExitJson()
}

$engine = "$root\$id\MSSQLServer"
$sockets = "$engine\SuperSocketNetLib"
$agent = "$root\$id\SQLServerAgent"
$state.build = [string](Get-RegistryValue -Path "$root\$id\Setup" -Name PatchLevel -Default '')
$state.configured = [string](Get-RegistryValue -Path "HKLM:\SOFTWARE\Infogerance\SQL Server\$id" -Name Configured -Default '')
$state.edition = [string](Get-RegistryValue -Path "$root\$id\Setup" -Name Edition -Default '')
$state.login_audit = [int](Get-RegistryValue -Path $engine -Name AuditLevel -Default 2)
$state.error_logs = [int](Get-RegistryValue -Path $engine -Name NumErrorLogs -Default 6)
if ([int](Get-RegistryValue -Path $agent -Name UseDatabaseMail -Default 0)) {
    $state.agent_mail_profile = [string](Get-RegistryValue -Path $agent -Name DatabaseMailProfile -Default '')
}
$state.network = @{
    port = [string](Get-RegistryValue -Path "$sockets\Tcp\IPAll" -Name TcpPort -Default '')
    dynamic_port = [string](Get-RegistryValue -Path "$sockets\Tcp\IPAll" -Name TcpDynamicPorts -Default '')
    force_encryption = [bool](Get-RegistryValue -Path $sockets -Name ForceEncryption -Default 0)
    certificate = [string](Get-RegistryValue -Path $sockets -Name Certificate -Default '')
    hidden = [bool](Get-RegistryValue -Path $sockets -Name HideInstance -Default 0)
    tcp_enabled = [bool](Get-RegistryValue -Path "$sockets\Tcp" -Name Enabled -Default 0)
    listening = @()
    encrypted = $false
    validated = $false
    certificate_loaded = $true
}

# Shared memory needs neither port nor certificate.
$connection = Get-OpenConnection -Server $(if ($default) { 'lpc:.' } else { "lpc:.\$instance" }) -Encryption 'Encrypt=False'
if ($null -ne $connection) {
    $state.answers = $true
    $facts = @(Get-Row -Connection $connection -Query (
            "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(50)) AS build, CAST(SERVERPROPERTY('Edition') AS nvarchar(100)) AS edition,
            SUSER_SNAME() AS account, CAST(ISNULL(IS_SRVROLEMEMBER('sysadmin'), 0) AS bit) AS administrator,
            $(Get-UtcExpression -Column 'sqlserver_start_time') AS started, cpu_count AS processors, numa_node_count AS numa_nodes
            FROM sys.dm_os_sys_info"))[0]
    foreach ($name in $facts.Keys) { $state[$name] = $facts[$name] }
    if ($facts.administrator) {
        foreach ($name in $queries.Keys) { $state[$name] = @(Get-Row -Connection $connection -Query $queries[$name]) }
        foreach ($detail in $details) {
            $rows = @(Get-Row -Connection $connection -Query $detail.query)
            Add-Detail -Entries $state[$detail.of] -Rows $rows -Name $detail.as -Key $detail.key -Column $detail.column
        }
        foreach ($database in $state.databases) {
            $database.users = @()
            if (-not $database.system -and $database.state -eq 'ONLINE') {
                $database.users = @(Get-DatabaseUser -Connection $connection -Name $database.name)
            }
        }
        if (@($state.databases | Where-Object { $_.name -eq $module.Params.maintenance_database }).Count) {
            $state.maintenance = Get-MaintenanceState -Connection $connection
        }
        $ports = @(Get-Row -Connection $connection -Query (
                "SELECT DISTINCT port FROM sys.dm_tcp_listener_states WHERE type = 0 AND state = 0 AND is_ipv4 = 1"))
        $state.network.listening = @($ports | ForEach-Object -Process { [int]$_.port })
        # The log of a start names master.mdf; without that line it is the log of a later time and tells nothing.
        $thumbprint = $state.network.certificate
        if ($thumbprint -and @(Get-Row -Connection $connection -Query "EXECUTE sys.xp_readerrorlog 0, 1, N'master.mdf'").Count) {
            $lines = @(Get-Row -Connection $connection -Query 'EXECUTE sys.xp_readerrorlog 0, 1, @thumbprint' -Values @{ thumbprint = $thumbprint })
            $state.network.certificate_loaded = $lines.Count -gt 0
        }
    }
    $connection.Dispose()
}
if (@($state.network.listening).Count) {
    $port = $state.network.listening[0]
    $plain = Get-OpenConnection -Server "tcp:127.0.0.1,$port" -Encryption 'Encrypt=False'
    if ($null -ne $plain) {
        $answer = @(Get-Row -Connection $plain -Query 'SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID')
        $state.network.encrypted = $answer[0].encrypt_option -eq 'TRUE'
        $plain.Dispose()
    }
    $name = $(if ($module.Params.host) { $module.Params.host } else { $state.hostname })
    $strict = Get-OpenConnection -Server "tcp:$name,$port" -Encryption 'Encrypt=True;TrustServerCertificate=False'
    if ($null -ne $strict) {
        $state.network.validated = $true
        $strict.Dispose()
    }
}
$module.Result.state = $state
$module.ExitJson()
