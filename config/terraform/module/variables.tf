variable "pools" {
  description = "The node pools by name: the id of each one's scale set, and Windows or Linux."
  type = map(object({
    scale_set_id = string
    os_type      = string
  }))
}

variable "archive_url" {
  description = "Where the nodes get the archive that config/terraform/dsc/archive made."
  type        = string

  validation {
    condition     = startswith(var.archive_url, "https://")
    error_message = "What is installed as the system has to come by https."
  }
}

variable "archive_sha256" {
  description = "The archive's SHA-256, as config/terraform/dsc/archive prints it."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.archive_sha256))
    error_message = "64 hexadecimal digits in lower case."
  }
}

variable "archive_sas_token" {
  description = "The token to read the archive with, with its leading ?; empty for a public one."
  type        = string
  default     = ""
  sensitive   = true
}

variable "exporter_version" {
  description = "The version of the MSI in the archive."
  type        = string
}

variable "listen_port" {
  description = "Where windows_exporter listens; PROXY_PORT of the proxy has to be the same."
  type        = number
  default     = 9100

  validation {
    condition     = var.listen_port > 0 && var.listen_port < 65536
    error_message = "A port is between 1 and 65535."
  }
}

variable "collectors" {
  description = "The collectors that are on. `cs` was removed in 0.31; put it in front for older ones."
  type        = list(string)
  default = [
    "cpu", "container", "logical_disk", "memory", "net", "os", "service", "system", "tcp",
  ]
}
