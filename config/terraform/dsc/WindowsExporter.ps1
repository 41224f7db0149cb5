# Installs windows_exporter from the MSI beside this file, once for a version, port and choice of
# collectors: what was installed is written down in the registry, and while that is what is wanted
# and the service is there, nothing is done. (A Package resource without the product's id, and a
# Script whose test is always false, would both install again at every run.)
Configuration WindowsExporter {
    param(
        [Parameter(Mandatory)] [string] $Version,
        [Parameter(Mandatory)] [int] $ListenPort,
        [Parameter(Mandatory)] [string] $Collectors
    )

    Import-DscResource -ModuleName PSDesiredStateConfiguration

    $wanted = "$Version;$ListenPort;$Collectors"

    Node localhost {
        Script Install {
            GetScript  = {
                $state = Get-ItemProperty -Path 'HKLM:\SOFTWARE\promrelay\windows_exporter' `
                    -ErrorAction SilentlyContinue
                @{ Result = "$($state.Installed)" }
            }
            TestScript = {
                $state = Get-ItemProperty -Path 'HKLM:\SOFTWARE\promrelay\windows_exporter' `
                    -ErrorAction SilentlyContinue
                $service = Get-Service -Name windows_exporter -ErrorAction SilentlyContinue
                ($null -ne $service) -and ($state.Installed -eq $using:wanted)
            }
            SetScript  = {
                # The extension unpacks the archive into a directory whose name has its version.
                $work = 'C:\Packages\Plugins\Microsoft.Powershell.DSC'
                $name = "windows_exporter-$using:Version-*.msi"
                $msi = Get-ChildItem -Path $work -Recurse -Filter $name |
                    Sort-Object LastWriteTime | Select-Object -Last 1
                if ($null -eq $msi) { throw "no MSI of windows_exporter $using:Version in $work" }
                # Msiexec changes nothing in a version that is there: that one goes first.
                $products = Get-ItemProperty -ErrorAction SilentlyContinue `
                    -Path 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\*' |
                    Where-Object { $_.DisplayName -eq 'windows_exporter' }
                foreach ($product in $products) {
                    $remove = @('/x', $product.PSChildName, '/qn', '/norestart')
                    $run = Start-Process -FilePath msiexec.exe -ArgumentList $remove -Wait -PassThru
                    if ($run.ExitCode -notin 0, 3010) { throw "msiexec /x: $($run.ExitCode)" }
                }
                $arguments = @(
                    '/i', "`"$($msi.FullName)`"", '/qn', '/norestart',
                    "ENABLED_COLLECTORS=$using:Collectors",
                    "LISTEN_PORT=$using:ListenPort"
                )
                $run = Start-Process -FilePath msiexec.exe -ArgumentList $arguments -Wait -PassThru
                # 3010: it is installed, and the machine should restart some time.
                if ($run.ExitCode -notin 0, 3010) { throw "msiexec ended with $($run.ExitCode)" }
                New-Item -Path 'HKLM:\SOFTWARE\promrelay\windows_exporter' -Force | Out-Null
                Set-ItemProperty -Path 'HKLM:\SOFTWARE\promrelay\windows_exporter' `
                    -Name Installed -Value $using:wanted
            }
        }

        Service Exporter {
            Name        = 'windows_exporter'
            State       = 'Running'
            StartupType = 'Automatic'
            DependsOn   = '[Script]Install'
        }
    }
}
