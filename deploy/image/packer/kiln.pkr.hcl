# Images of a Kiln node for three clouds, made by the very script that makes any other node: ../provision.sh.
# ./kiln bake --target packer lays these files down beside the code (kiln.tar.gz); README.md of deploy/image goes on.

packer {
  required_version = ">= 1.9.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
    googlecompute = {
      source  = "github.com/hashicorp/googlecompute"
      version = ">= 1.1.0"
    }
    azure = {
      source  = "github.com/hashicorp/azure"
      version = ">= 2.1.0"
    }
  }
}

variable "commit" {
  type        = string
  description = "Commit of the code in kiln.tar.gz, for /version. bake.sh writes it into commit.auto.pkrvars.hcl."
}

variable "extras" {
  type        = string
  default     = ""
  description = "KILN_EXTRAS of provision.sh: keras, tracing or both with a space between."
}

locals {
  # One name everywhere; clouds take lower case letters, digits and dashes.
  image = "kiln-${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  tags = {
    service = "kiln"
    commit  = substr(var.commit, 0, 40)
  }
}

build {
  name = "kiln"
  sources = [
    "source.amazon-ebs.kiln",
    "source.googlecompute.kiln",
    "source.azure-arm.kiln",
  ]

  provisioner "file" {
    source      = "${path.root}/kiln.tar.gz"
    destination = "/tmp/kiln.tar.gz"
  }

  # A fresh machine may still be setting itself up and hold apt's locks.
  provisioner "shell" {
    inline = ["if command -v cloud-init; then cloud-init status --wait || [ $? -eq 2 ]; fi"]
  }

  provisioner "shell" {
    # -e here too: read by a bash that is named, the script's first line counts for nothing, and without it the image
    # of a machine on which something failed would be made all the same.
    execute_command = "{{ .Vars }} sudo -E bash -e '{{ .Path }}'"
    environment_vars = [
      "KILN_COMMIT=${var.commit}",
      "KILN_EXTRAS=${var.extras}",
    ]
    inline_shebang = "/bin/bash -e"
    # Handed to bash: Debian mounts /run noexec.
    inline = [
      "mkdir /run/kiln-source",
      "tar -C /run/kiln-source -xzf /tmp/kiln.tar.gz",
      "if [ -d /run/kiln-source/own ]; then export KILN_OWN=/run/kiln-source/own; fi",
      "bash /run/kiln-source/deploy/image/provision.sh",
      "curl --fail --silent --show-error --retry 30 --retry-connrefused http://127.0.0.1/ready",
      "bash /run/kiln-source/deploy/image/seal.sh",
    ]
  }

  # Azure keeps its agent's traces of the machine; this is the agent's own way to forget them.
  provisioner "shell" {
    only            = ["azure-arm.kiln"]
    execute_command = "sudo sh '{{ .Path }}'"
    inline          = ["waagent -force -deprovision+user && export HISTSIZE=0 && sync"]
  }
}
