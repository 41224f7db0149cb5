# A cluster of yours with a pool of each kind. The names are examples.
provider "azurerm" {
  features {}
}

variable "archive_url" {
  type = string
}

variable "archive_sha256" {
  type = string
}

data "azurerm_kubernetes_cluster" "this" {
  name                = "blue"
  resource_group_name = "clusters"
}

# The scale sets are in a resource group that AKS made, and called after their pool.
data "azurerm_virtual_machine_scale_set" "linux" {
  name                = "aks-default-12345678-vmss"
  resource_group_name = data.azurerm_kubernetes_cluster.this.node_resource_group
}

data "azurerm_virtual_machine_scale_set" "windows" {
  name                = "akswin"
  resource_group_name = data.azurerm_kubernetes_cluster.this.node_resource_group
}

module "windows_exporter" {
  source = "../module"

  pools = {
    default = { scale_set_id = data.azurerm_virtual_machine_scale_set.linux.id, os_type = "Linux" }
    win     = { scale_set_id = data.azurerm_virtual_machine_scale_set.windows.id, os_type = "Windows" }
  }
  archive_url      = var.archive_url
  archive_sha256   = var.archive_sha256
  exporter_version = "0.31.0"
  listen_port      = 9100
}
