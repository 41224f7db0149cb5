# windows_exporter on the nodes of a Windows pool of AKS, and nothing on Linux pools, whose
# node_exporter comes with the chart as a DaemonSet.
terraform {
  required_version = ">= 1.3"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 3.0, < 5.0"
    }
  }
}

locals {
  windows = { for name, pool in var.pools : name => pool if lower(pool.os_type) == "windows" }
}

resource "azurerm_virtual_machine_scale_set_extension" "windows_exporter" {
  for_each = local.windows

  name                         = "windows-exporter"
  virtual_machine_scale_set_id = each.value.scale_set_id
  publisher                    = "Microsoft.Powershell"
  type                         = "DSC"
  type_handler_version         = "2.80"
  auto_upgrade_minor_version   = true

  # AKS's own extension makes the machine a node; DSC before it would be in its way.
  provision_after_extensions = ["vmssCSE"]

  # With another hash of the archive the extension runs again, and otherwise it does not.
  force_update_tag = var.archive_sha256

  settings = jsonencode({
    wmfVersion = "latest"
    configuration = {
      url      = var.archive_url
      script   = "WindowsExporter.ps1"
      function = "WindowsExporter"
    }
    configurationArguments = {
      Version    = var.exporter_version
      ListenPort = var.listen_port
      Collectors = join(",", var.collectors)
    }
    privacy = { dataCollection = "Disable" }
  })

  # A token to read the archive with is a secret, and stays out of the settings.
  protected_settings = var.archive_sas_token == "" ? null : jsonencode({
    configurationUrlSasToken = var.archive_sas_token
  })
}
