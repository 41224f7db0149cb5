output "windows_pools" {
  description = "The pools that got the extension."
  value       = keys(azurerm_virtual_machine_scale_set_extension.windows_exporter)
}
