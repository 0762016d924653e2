# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
<#
.SYNOPSIS
Carries the files of one flow between this server and its far end. Run by a scheduled task under a managed service account.

.DESCRIPTION
Where a file is says how far it came; each step ends in one rename on one volume, so that a run that is killed anywhere is taken up by
the next one, without a file lost or delivered twice:

  out, SFTP   outbox -> sending (claimed; name.part is uploaded) -> committing (name.part is whole over there, the rename is next)
              -> archive. In committing, "name.part is gone over there" means that the rename took place.
  out, HTTPS  outbox -> sending -> archive. A PUT that is repeated replaces what it made (RFC 9110, 9.2.2).
  in          receiving (name.part, then name when whole, copied to the archive) -> inbox, then the far end's file is removed.

Names of files may say something of persons: events hold counts and reasons only. All that could be decided beforehand is in the
configuration, which Ansible writes.
#>
[CmdletBinding()]
param (
    [Parameter(Mandatory = $true)][string]$Flow,
    [string]$Configuration = "$PSScriptRoot\..\etc\exchange.json"
)
Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$settings = Get-Content -LiteralPath $Configuration -Raw -Encoding UTF8 | ConvertFrom-Json
$own = $settings.flows | Where-Object { $_.name -eq $Flow }
if ($null -eq $own) { throw "no flow $Flow in $Configuration" }
# Names go into command files of sftp and into addresses: nothing else is taken.
$safe = '^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$'
$unfinished = '\.(part|tmp|filepart)$'
$utf8 = New-Object -TypeName System.Text.UTF8Encoding -ArgumentList $false

function Write-Note {
    param ([int]$Id, [string]$Type, [string]$Message)
    Write-EventLog -LogName Application -Source $settings.event_source -EventId $Id -EntryType $Type -Message "$($own.name): $Message"
}

function Get-Waiting {
    param ([string]$Folder)
    @(Get-ChildItem -LiteralPath $Folder -File | Where-Object { $_.Name -notmatch $unfinished } | Sort-Object -Property LastWriteTimeUtc)
}

function Test-Closed {
    # Whether nobody writes the file any more.
    param ([System.IO.FileInfo]$File)
    try {
        $File.Open('Open', 'Read', 'None').Dispose()
        $true
    }
    catch [System.IO.IOException] { $false }
}

function Move-Archive {
    # The age of an archive counts from now, not from when its content was written.
    param ([System.IO.FileInfo]$File)
    $stamp = [System.DateTime]::UtcNow
    $File.LastWriteTimeUtc = $stamp
    $name = $File.Name
    if (Test-Path -LiteralPath "$($own.archive)\$name") { $name = '{0}.{1:yyyyMMddTHHmmssfff}' -f $name, $stamp }
    [System.IO.File]::Move($File.FullName, "$($own.archive)\$name")
}

function Invoke-Sftp {
    # Runs commands of sftp(1); a failed command ends the batch with 1, a failed connection with 255, which is an error here.
    param ([string[]]$Command)
    $ErrorActionPreference = 'Continue'
    $batch = "$($own.home)\batch.tmp"
    [System.IO.File]::WriteAllText($batch, ($Command -join "`n") + "`n", $utf8)
    $options = $own.arguments
    $lines = @(& $settings.sftp '-q' '-b' $batch $options 2>$null)
    $code = $LASTEXITCODE
    if ($code -ne 0 -and $code -ne 1) { throw "the far end cannot be reached or is not the pinned one (sftp $code)" }
    @{ done = $code -eq 0; lines = @($lines | Where-Object { $_ -notmatch '^sftp>' }) }
}

function Get-RemoteName {
    $command = 'ls -1'
    if ($own.remote) { $command = "ls -1 `"$($own.remote)`"" }
    $listing = Invoke-Sftp -Command $command
    if (-not $listing.done) { throw 'the far end does not list its files' }
    @($listing.lines | ForEach-Object -Process { ($_.Trim() -split '/')[-1] })
}

function Get-WebOption {
    $options = @{ UseBasicParsing = $true; TimeoutSec = 300; Certificate = Get-Item -LiteralPath "Cert:\LocalMachine\My\$($own.thumbprint)" }
    if ($settings.headers) {
        $all = Get-Content -LiteralPath $settings.headers -Raw -Encoding UTF8 | ConvertFrom-Json
        $options.Headers = @{}
        foreach ($header in @($all | Where-Object { $_.flow -eq $own.name })) { $options.Headers[$header.name] = $header.value }
    }
    $options
}

function Send-Sftp {
    foreach ($file in Get-Waiting -Folder $own.sending) {
        $part = "$($own.remote)$($file.Name).part"
        if (-not (Invoke-Sftp -Command "put `"$($file.FullName)`" `"$part`"").done) { throw 'an upload was refused' }
        if ($own.verify_content) {
            $back = "$($own.home)\back.tmp"
            if (-not (Invoke-Sftp -Command "get `"$part`" `"$back`"").done) { throw 'what was uploaded cannot be read back' }
            $same = (Get-FileHash -LiteralPath $back).Hash -eq (Get-FileHash -LiteralPath $file.FullName).Hash
            Remove-Item -LiteralPath $back
            if (-not $same) { throw 'what was uploaded is not what was sent' }
        }
        [System.IO.File]::Move($file.FullName, "$($own.committing)\$($file.Name)")
        Complete-Sftp
    }
}

function Complete-Sftp {
    foreach ($file in Get-Waiting -Folder $own.committing) {
        $target = "$($own.remote)$($file.Name)"
        $renamed = (Invoke-Sftp -Command "rename `"$target.part`" `"$target`"").done
        if (-not $renamed -and (Get-RemoteName) -contains "$($file.Name).part") { throw 'the far end refused the final name of a file' }
        Move-Archive -File $file
    }
}

function Send-Web {
    foreach ($file in Get-Waiting -Folder $own.sending) {
        $options = Get-WebOption
        # Any status that is not a success is an error of the command itself.
        $null = Invoke-WebRequest -Uri "$($own.url)$($file.Name)" -Method Put -InFile $file.FullName -ContentType 'application/octet-stream' @options
        Move-Archive -File $file
    }
}

function Complete-Reception {
    # Whole files: a copy for the archive first, then the delivery, which is one rename and so happens once.
    foreach ($file in Get-Waiting -Folder $own.receiving) {
        if (-not (Test-Path -LiteralPath "$($own.archive)\$($file.Name)")) {
            $copy = "$($own.home)\copy.tmp"
            Copy-Item -LiteralPath $file.FullName -Destination $copy -Force
            [System.IO.File]::SetLastWriteTimeUtc($copy, [System.DateTime]::UtcNow)
            [System.IO.File]::Move($copy, "$($own.archive)\$($file.Name)")
        }
        [System.IO.File]::Move($file.FullName, "$($own.drop)\$($file.Name)")
    }
}

function Receive-Sftp {
    foreach ($name in @(Get-RemoteName | Where-Object { $_ -match $safe -and $_ -notmatch $unfinished })) {
        # In the archive already: delivered by a run that was killed before it could remove the far end's file.
        if (-not (Test-Path -LiteralPath "$($own.archive)\$name")) {
            $part = "$($own.receiving)\$name.part"
            if (-not (Invoke-Sftp -Command "get `"$($own.remote)$name`" `"$part`"").done) { throw 'a file cannot be fetched' }
            [System.IO.File]::Move($part, "$($own.receiving)\$name")
            Complete-Reception
        }
        if (-not (Invoke-Sftp -Command "rm `"$($own.remote)$name`"").done) { throw 'the far end does not let its file be removed' }
    }
}

function Receive-Web {
    $options = Get-WebOption
    $name = '{0}-{1:yyyyMMddTHHmmssZ}' -f $own.name, [System.DateTime]::UtcNow
    $null = Invoke-WebRequest -Uri $own.url -OutFile "$($own.receiving)\$name.part" @options
    [System.IO.File]::Move("$($own.receiving)\$name.part", "$($own.receiving)\$name")
    Complete-Reception
}

function Write-Metric {
    # Seconds since 1970, for windows_exporter's text-file collector; the file is replaced in one step.
    param ([bool]$Success)
    $marker = "$($own.home)\last_success.tmp"
    if ($Success) { [System.IO.File]::WriteAllText($marker, '', $utf8) }
    if (-not $own.metrics) { return }
    $epoch = New-Object -TypeName System.DateTime -ArgumentList 1970, 1, 1, 0, 0, 0, 'Utc'
    $folders = if ($own.direction -eq 'in') { @($own.receiving) } elseif ($own.protocol -eq 'sftp') { $own.drop, $own.sending, $own.committing } else { $own.drop, $own.sending }
    $values = [ordered]@{ flow_backlog_files = @($folders | ForEach-Object -Process { Get-ChildItem -LiteralPath $_ -File }).Count }
    if (Test-Path -LiteralPath $marker) {
        $values.flow_last_success_timestamp_seconds = [long]((Get-Item -LiteralPath $marker).LastWriteTimeUtc - $epoch).TotalSeconds
    }
    if ($own.thumbprint) {
        $values.cert_not_after = [long]((Get-Item -LiteralPath "Cert:\LocalMachine\My\$($own.thumbprint)").NotAfter.ToUniversalTime() - $epoch).TotalSeconds
    }
    $lines = foreach ($name in $values.Keys) { "# TYPE $name gauge"; "$name{flow=`"$($own.name)`"} $($values[$name])" }
    $draft = "$($own.metrics).tmp"
    [System.IO.File]::WriteAllText($draft, ($lines -join "`n") + "`n", $utf8)
    if (Test-Path -LiteralPath $own.metrics) { [System.IO.File]::Replace($draft, $own.metrics, $null) } else { [System.IO.File]::Move($draft, $own.metrics) }
}

# One run at a time: the lock goes away with the process, however it ends.
try { $lock = [System.IO.File]::Open("$($own.home)\lock.tmp", 'OpenOrCreate', 'ReadWrite', 'None') } catch [System.IO.IOException] { exit 0 }
$failure = ''
try {
    if ($own.direction -eq 'out') {
        if ($own.protocol -eq 'sftp') { Complete-Sftp }
        $refused = 0
        foreach ($file in Get-Waiting -Folder $own.drop) {
            if ($file.Name -notmatch $safe) { $refused += 1 }
            elseif (Test-Closed -File $file) { [System.IO.File]::Move($file.FullName, "$($own.sending)\$($file.Name)") }
        }
        if ($own.protocol -eq 'sftp') { Send-Sftp } else { Send-Web }
        if ($refused -gt 0) { throw "$refused files have names with other characters than letters, digits, dots, hyphens and underscores" }
    }
    else {
        Complete-Reception
        if ($own.protocol -eq 'sftp') { Receive-Sftp } else { Receive-Web }
    }
    if ($own.retention_days -gt 0) {
        $limit = [System.DateTime]::UtcNow.AddDays(-$own.retention_days)
        Get-ChildItem -LiteralPath $own.archive -File | Where-Object { $_.LastWriteTimeUtc -lt $limit } | Remove-Item
    }
}
catch {
    # Errors of commands may quote a path, and so a file's name: only the sentences of this script go into the event log.
    $failure = if ($_.FullyQualifiedErrorId -eq [string]$_.Exception.Message) { $_.Exception.Message } else { $_.FullyQualifiedErrorId }
}
Write-Metric -Success ($failure -eq '')
$lock.Dispose()
if ($failure) {
    Write-Note -Id 2 -Type Error -Message $failure
    exit 1
}
Write-Note -Id 1 -Type Information -Message 'done'
