variable "aws_region" {
  type    = string
  default = "eu-central-1"
}

variable "aws_instance_type" {
  type        = string
  default     = "t3.small"
  description = "Of the machine that the image is made on; what it runs on later is free."
}

source "amazon-ebs" "kiln" {
  region        = var.aws_region
  instance_type = var.aws_instance_type
  ami_name      = local.image
  tags          = local.tags
  ssh_username  = "admin"

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # Machines of this image answer for their metadata with a token only.
  imds_support = "v2.0"

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = 8
    volume_type           = "gp3"
    encrypted             = true
    delete_on_termination = true
  }
}
