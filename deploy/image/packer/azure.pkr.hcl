variable "azure_subscription" {
  type    = string
  default = ""
}

variable "azure_resource_group" {
  type        = string
  default     = "kiln"
  description = "Where the image goes; it must exist."
}

variable "azure_location" {
  type    = string
  default = "Germany West Central"
}

source "azure-arm" "kiln" {
  subscription_id    = var.azure_subscription
  use_azure_cli_auth = true
  location           = var.azure_location
  vm_size            = "Standard_B1ms"

  os_type         = "Linux"
  image_publisher = "Debian"
  image_offer     = "debian-12"
  image_sku       = "12-gen2"

  managed_image_name                = local.image
  managed_image_resource_group_name = var.azure_resource_group
  azure_tags                        = local.tags
}
