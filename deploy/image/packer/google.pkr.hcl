variable "google_project" {
  type    = string
  default = ""
}

variable "google_zone" {
  type    = string
  default = "europe-west3-a"
}

source "googlecompute" "kiln" {
  project_id          = var.google_project
  zone                = var.google_zone
  machine_type        = "e2-small"
  source_image_family = "debian-12"
  image_name          = local.image
  image_family        = "kiln"
  image_labels        = local.tags
  ssh_username        = "packer"
  disk_size           = 10
}
